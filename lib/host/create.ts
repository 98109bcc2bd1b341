import type { Facts } from '../plan/facts.ts';
import { type CgroupPlan, type Plan, tags } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { bounded, type Patience } from './bounded.ts';
import { type Cancel, throwIfCanceled } from './cancel.ts';
import { type AppliedCgroup, applyCgroup } from './cgroup.ts';
import { errnoOf, refused } from './failure.ts';
import type { Handle, Host, Session } from './host.ts';
import { openInputs, type Stdio } from './inputs.ts';
import { startKeeper } from './keeper.ts';
import { writeMaps } from './maps.ts';
import { closeHandles } from './program.ts';
import { deliver, died, nextMilestone, unexpected } from './progress.ts';
import { Channel, endSession, frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

export interface CreateOptions {
  readonly stdio?: Stdio | undefined;
  readonly signal?: Cancel | undefined;
  /** Of each single wait: on the init, on a file, on a helper. */
  readonly deadlineMs?: number | undefined;
  /** What the plan was made from; it makes hints better. */
  readonly facts?: Facts | undefined;
  /** Hears how many nanoseconds each op took. */
  readonly trace?: ((op: number, ns: bigint) => void) | undefined;
  /** This op fails, with this errno: for tests. */
  readonly failAt?: number | undefined;
  readonly failErrno?: number | undefined;
}

/** A container that waits at its last sync point for `start`. */
export interface Created {
  readonly host: Host;
  readonly plan: Plan;
  readonly session: Session;
  /** What the init sent, by tag: the console. Closed with the container. */
  readonly handles: Map<number, Handle>;
  readonly cgroup: AppliedCgroup | undefined;
  readonly options: CreateOptions & { readonly deadlineMs: number };
  /** Ends and releases everything; `remove` runs it. */
  readonly undo: Undo;
}

/** Walks a plan up to its start point. Whatever fails, or is canceled, on the way leaves nothing behind. */
export async function createContainer(host: Host, plan: Plan, given: CreateOptions = {}): Promise<Created> {
  const { deadlineMs = frameDeadlineMs, signal: cancel } = given;
  const options = { ...given, deadlineMs };
  const program = encode(plan.segment, encoding(given));
  const handles = new Map<number, Handle>();
  const undo = new Undo();
  undo.add(() => closeHandles(handles));
  const patience = { deadlineMs, cancel };
  const ports = bounded(host, patience);
  const steady = bounded(host, { deadlineMs });
  try {
    throwIfCanceled(cancel, 'making a container');
    const cgroup = plan.cgroup && (await makeCgroup(ports, plan.cgroup, steady, undo));
    if (cgroup !== undefined) await keepCgroup(host, cgroup.path, patience, undo);
    const session = await spawn(ports, plan, cgroup, options);
    undo.add(() => endSession(host, session, deadlineMs));
    if (plan.maps !== undefined) await writeMaps(ports, session.pid, plan.maps);

    const channel = new Channel(host, session, { deadlineMs, cancel, trace: given.trace });
    const progress = { segment: plan.segment, facts: given.facts, handles };
    const inputs = new Undo();
    undo.add(() => inputs.run());
    const registers = await openInputs(host, plan, { ...given, pid: session.pid }, patience, inputs);
    await deliver(host, channel, progress, channel.sendProgram(program, registers));
    await inputs.run();

    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, deadlineMs);
    if (frame.kind !== 'sync' || frame.tag !== tags.start) throw unexpected(frame, 'the start point');
    throwIfCanceled(cancel, 'making a container');
    return { host, plan, session, handles, cgroup, options, undo };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

function encoding({ trace, failAt, failErrno }: CreateOptions) {
  return {
    trace: trace !== undefined,
    ...(failAt !== undefined && { failAt }),
    ...(failErrno !== undefined && { failErrno }),
  };
}

async function makeCgroup(ports: Host, plan: CgroupPlan, steady: Host, undo: Undo): Promise<AppliedCgroup> {
  const cgroup = await applyCgroup(ports, plan, steady);
  undo.add(() => cgroup.remove());
  return cgroup;
}

/** The kernel ends the processes of a container whose owner was killed; the directory of its cgroup wants a keeper. */
async function keepCgroup(host: Host, path: string, patience: Patience, undo: Undo): Promise<void> {
  const slash = path.lastIndexOf('/');
  const above = path.slice(0, slash);
  const parent = await bounded(host, patience)
    .files.open(above, 'directory')
    .catch((error: unknown) => {
      throw refused(error, { at: 'cgroup', doing: `open the cgroup ${above}` });
    });
  try {
    const cleanup = { trees: [], cgroups: [{ directory: 0, name: path.slice(slash + 1) }] };
    const keeper = await startKeeper(host, { cleanup, directories: [parent], flags: 0 }, patience);
    undo.add(() => keeper.release());
  } finally {
    parent.close();
  }
}

/** Errnos of clone3(2) that are about the cgroup and not about the namespaces. */
const aboutTheCgroup = ['EACCES', 'EBUSY', 'EOPNOTSUPP', 'ENOENT', 'ENODEV'];

async function spawn(
  ports: Host,
  plan: Plan,
  cgroup: AppliedCgroup | undefined,
  { facts }: CreateOptions,
): Promise<Session> {
  try {
    return await ports.processes.spawn({ flags: plan.flags, cgroup: cgroup?.handle });
  } catch (error) {
    const at = cgroup !== undefined && aboutTheCgroup.includes(errnoOf(error) ?? '') ? 'cgroup' : 'spawn';
    const doing =
      at === 'cgroup' ? `start a process in the cgroup ${cgroup?.path}` : 'start a process in new namespaces';
    throw refused(error, { at, doing, facts });
  }
}
