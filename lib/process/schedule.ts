import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import { bitMask } from '../spec/bit-mask.ts';
import type { IoPriority, Linux, MemoryPolicy, Process, Scheduler } from '../spec/types.ts';

/** The numbers of sched_setattr(2). */
const policies: Readonly<Record<string, number>> = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
};
const policyFlags: Readonly<Record<string, number>> = {
  SCHED_FLAG_RESET_ON_FORK: 0x01,
  SCHED_FLAG_RECLAIM: 0x02,
  SCHED_FLAG_DL_OVERRUN: 0x04,
  SCHED_FLAG_KEEP_POLICY: 0x08,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
};
const ioClasses: Readonly<Record<string, number>> = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
};
/** The numbers of set_mempolicy(2). */
const memoryModes: Readonly<Record<string, number>> = {
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
};
const memoryFlags: Readonly<Record<string, number>> = {
  MPOL_F_NUMA_BALANCING: 1 << 13,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_STATIC_NODES: 1 << 15,
};
/** personality(2). */
const domains: Readonly<Record<string, number>> = { LINUX: 0, LINUX32: 8 };

/** How the kernel schedules the command: processor, disk and memory. Threads and children inherit all of it. */
export function setScheduling(ops: Builder, { scheduler, ioPriority }: Process): void {
  if (scheduler !== undefined) setScheduler(ops, scheduler);
  if (ioPriority !== undefined) setIoPriority(ops, ioPriority);
}

/** Whether a child has it from its parent: one with a deadline may have none, and what is reset on fork it has not. */
export const isInherited = (scheduler: Scheduler | undefined): boolean =>
  scheduler?.policy !== 'SCHED_DEADLINE' && !(scheduler?.flags ?? []).includes('SCHED_FLAG_RESET_ON_FORK');

function setScheduler(ops: Builder, asked: Scheduler): void {
  const origin = '/process/scheduler';
  const { nice = 0, priority = 0, flags = [], runtime = 0, deadline = 0, period = 0 } = asked;
  const policy = numberOf(policies, asked.policy, `${origin}/policy`);
  const operands = {
    policy,
    flags: flags.reduce((bits, name, i) => bits | numberOf(policyFlags, name, `${origin}/flags/${i}`), 0),
    nice: nice >>> 0,
    priority,
    runtime,
    deadline,
    period,
  };
  ops.op('scheduler', operands, origin);
}

function setIoPriority(ops: Builder, asked: IoPriority): void {
  const origin = '/process/ioPriority';
  ops.op(
    'io_priority',
    { class: numberOf(ioClasses, asked.class, `${origin}/class`), priority: asked.priority ?? 0 },
    origin,
  );
}

/** `domain` also decides what uname(2) says of the machine. */
export function setPersonality(ops: Builder, personality: Linux['personality']): void {
  if (personality === undefined) return;
  const persona = numberOf(domains, personality.domain, '/linux/personality/domain');
  ops.op('personality', { persona }, '/linux/personality');
}

/** From which NUMA nodes the command gets its memory. */
export function setMemoryPolicy(ops: Builder, policy: MemoryPolicy | undefined): void {
  if (policy === undefined) return;
  const origin = '/linux/memoryPolicy';
  const nodes = bitMask(policy.nodes ?? '', `${origin}/nodes`);
  const mode = numberOf(memoryModes, policy.mode, `${origin}/mode`);
  const wrong = nodesFault(policy.mode, nodes.length > 0);
  if (wrong !== undefined) throw refused(wrong, `${origin}/nodes`);
  const flags = policy.flags ?? [];
  const bits = flags.reduce((all, name, i) => all | numberOf(memoryFlags, name, `${origin}/flags/${i}`), mode);
  ops.op('memory_policy', { mode: bits, nodes }, origin);
}

/** Where the kernel would say no more than EINVAL. */
function nodesFault(mode: string, given: boolean): string | undefined {
  if (mode === 'MPOL_DEFAULT' || mode === 'MPOL_LOCAL') {
    return given ? `must be left away with ${mode}, which names no nodes` : undefined;
  }
  if (given || mode === 'MPOL_PREFERRED') return undefined;
  return `must name at least one node for ${mode}`;
}

function numberOf(numbers: Readonly<Record<string, number>>, name: string, origin: string): number {
  const number = Object.keys(numbers).includes(name) ? numbers[name] : undefined;
  if (number !== undefined) return number;
  throw refused(`unknown: "${name}"; it can be ${Object.keys(numbers).join(', ')}`, origin);
}

function refused(message: string, origin: string): RuntsError {
  const issues = [{ path: origin, message }];
  return new RuntsError('ERR_SPEC', `cannot schedule the command: ${message}`, { origin, issues });
}

/** As many processors as no machine has: the kernel leaves out those that there are not, or that the cgroup has not. */
const everyProcessor = new Uint8Array(1024).fill(0xff);

/**
 * The processors of a command in a cgroup with some of its own: whatever its creator was bound to, the kernel would keep
 * of it what lies in the cgroup's set.
 */
export function resetAffinity(ops: Builder, cpus: string | undefined): void {
  if (cpus === undefined || cpus === '') return;
  ops.op('affinity', { cpus: everyProcessor }, '/linux/resources/cpu/cpus');
}

/** The processors that a process asks for, once it is in its cgroup; those of the cgroup unless it asks for any. */
export function setAffinity(ops: Builder, asked: string | undefined, cpus: string | undefined): void {
  if (asked === undefined || asked === '') resetAffinity(ops, cpus);
  else ops.op('affinity', { cpus: bitMask(asked, '/process/execCPUAffinity/final') }, '/process/execCPUAffinity/final');
}

/**
 * The processors on which a process gets ready to enter a container. It is in the cgroup of the container from its
 * birth on, so those that this has not are left out; EINVAL: it has none of them.
 */
export function setFirstAffinity(ops: Builder, asked: string | undefined): void {
  if (asked === undefined || asked === '') return;
  const origin = '/process/execCPUAffinity/initial';
  ops.op('affinity', { cpus: bitMask(asked, origin) }, origin, { unless: ['EINVAL'] });
}
