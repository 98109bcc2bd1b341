import { layoutOf, type Slot } from './layout.ts';
import type { OpName } from './ops.ts';

/** An op of a plan, or a decoded one, which has no origin. */
export interface Explainable {
  readonly op: OpName;
  readonly operands: object;
  readonly unless?: readonly string[];
  readonly skip?: number;
  readonly origin?: string;
}

/** The column that origins start at where the op leaves room, so that one long line does not move the others. */
const originColumn = 84;

/**
 * A program as text, a line for each op, for `runts plan` and goldens. Flags and values that say nothing, such as no
 * mount attributes, are left out; registers are named as in the plan.
 */
export function explain(program: { readonly inputs: readonly string[]; readonly ops: readonly Explainable[] }): string {
  const lines = program.ops.map((op, i) => line(op, i));
  if (program.inputs.length > 0) lines.unshift(`     inputs            ${program.inputs.join(' ')}`);
  return lines.map((text) => `${text}\n`).join('');
}

function line(op: Explainable, index: number): string {
  const operands = op.operands as Readonly<Record<string, unknown>>;
  const slots = layoutOf(op.op)?.slots ?? [];
  const parts = slots.map((slot) => operand(op.op, slot, operands[slot.name])).filter((part) => part !== '');
  if (op.unless) parts.push(`[unless ${op.unless.join(',')}]`);
  if (op.skip) parts.push(`[skip ${op.skip}]`);
  const text = `${String(index).padStart(3)}  ${op.op.padEnd(16)}  ${parts.join(' ')}`.trimEnd();
  return op.origin === undefined ? text : `${text.padEnd(originColumn)}  ; ${printable(op.origin)}`;
}

function operand(op: OpName, slot: Slot, value: unknown): string {
  const key = slot.name;
  switch (slot.kind) {
    case 'int':
    case 'flags':
      return number(op, slot, BigInt(value as number | bigint));
    case 'in':
    case 'out':
      return `${key}=${value}`;
    case 'maybe':
      return value === undefined ? '' : `${key}=${value}`;
    case 'ins':
      return `${key}=[${(value as readonly string[]).join(' ')}]`;
    case 'text':
      return `${key}=${quote(value as string)}`;
    case 'texts':
      return `${key}=[${(value as readonly string[]).map(quote).join(' ')}]`;
    case 'bytes':
      return `${key}=<${(value as Uint8Array).length} bytes>`;
  }
}

const quote = (text: string) => (/^[^\s"'[\]\\\p{C}]+$/u.test(text) ? text : printable(JSON.stringify(text)));

/** What a terminal would act on instead of showing it, as escapes: a plan may print what an image's author wrote. */
function printable(text: string): string {
  const escaped = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => character.split('').map(escaped).join(''));
}

function number(op: OpName, slot: Slot, value: bigint): string {
  const key = slot.name;
  if (slot.kind === 'int' && slot.max === 1n) return value === 0n ? '' : key;
  const form = forms[`${op}.${key}`] ?? forms[key];
  const text = form === undefined ? plain(slot, value) : form(value);
  return text === '' ? '' : `${key}=${text}`;
}

const plain = (slot: Slot, value: bigint) => (slot.kind === 'flags' ? hex(value) : String(value));
const hex = (value: bigint) => `0x${value.toString(16)}`;
const octal = (value: bigint) => `0${value.toString(8).padStart(3, '0')}`;

/** A form that names bits: those without a name are one number at the end. */
function bits(names: readonly (readonly [string, number])[]): (value: bigint) => string {
  return (value) => {
    const said: string[] = [];
    let rest = value;
    for (const [name, bit] of names) {
      if ((rest & BigInt(bit)) !== BigInt(bit)) continue;
      said.push(name);
      rest &= ~BigInt(bit);
    }
    if (rest !== 0n) said.push(hex(rest));
    return said.join(',');
  };
}

const attributes = bits([
  ['ro', 1],
  ['nosuid', 2],
  ['nodev', 4],
  ['noexec', 8],
  ['atime', 0x70],
  ['noatime', 0x10],
  ['strictatime', 0x20],
  ['nodiratime', 0x80],
  ['nosymfollow', 0x200000],
]);

const namespaces = bits([
  ['time', 0x80],
  ['mount', 0x20000],
  ['cgroup', 0x2000000],
  ['uts', 0x4000000],
  ['ipc', 0x8000000],
  ['user', 0x10000000],
  ['pid', 0x20000000],
  ['network', 0x40000000],
]);

const propagation = bits([
  ['unbindable', 0x20000],
  ['private', 0x40000],
  ['slave', 0x80000],
  ['shared', 0x100000],
]);

const filterFlags = bits([
  ['tsync', 1],
  ['log', 2],
  ['spec_allow', 4],
  ['new_listener', 8],
  ['tsync_esrch', 16],
  ['wait_killable', 32],
]);

const capabilityNames = (
  'chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service ' +
  'net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin ' +
  'sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override ' +
  'mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore'
).split(' ');

/** Said in full, by name, since what a container may do is what a reader looks for. */
function capabilities(value: bigint): string {
  const set = capabilityNames.filter((_, number) => (value >> BigInt(number)) & 1n);
  if (set.length === 0) return 'none';
  return set.length === capabilityNames.length ? 'all' : set.join(',');
}

const resources =
  'cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime'.split(' ');

const limit = (value: bigint) => (value === (1n << 64n) - 1n ? 'unlimited' : String(value));

const fileTypes: Readonly<Record<string, string>> = { '1': 'fifo', '2': 'char', '6': 'block' };

function fileMode(value: bigint): string {
  const type = fileTypes[String(value >> 12n)];
  return type === undefined ? octal(value) : `${type}:${octal(value & 0o7777n)}`;
}

/** A form that names values: the first is 0. */
function named(names: string): (value: bigint) => string {
  const list = names.split(' ');
  return (value) => list[Number(value)] ?? String(value);
}

const schedulerFlags = [
  ['reset_on_fork', 1],
  ['reclaim', 2],
  ['dl_overrun', 4],
  ['keep_policy', 8],
  ['keep_params', 16],
  ['util_clamp_min', 32],
  ['util_clamp_max', 64],
] as const;

const memoryModes = named('default preferred bind interleave local preferred_many weighted_interleave');

/** The mode, and the flags that the kernel has in its upper bits. */
function memoryPolicy(value: bigint): string {
  const flags = bits([
    ['static_nodes', 0x8000],
    ['relative_nodes', 0x4000],
    ['numa_balancing', 0x2000],
  ])(value & ~0x1fffn);
  const mode = memoryModes(value & 0x1fffn);
  return flags === '' ? mode : `${mode},${flags}`;
}

/** How the numbers of an operand are said, by its name or, first, by op and name. An empty text leaves it out. */
const forms: Readonly<Record<string, (value: bigint) => string>> = {
  attributes,
  set: attributes,
  clear: attributes,
  propagation,
  'unshare.flags': namespaces,
  'join_process.namespaces': namespaces,
  'propagation.flags': propagation,
  'root_propagation.flags': propagation,
  'seccomp.flags': filterFlags,
  'listener.flags': filterFlags,
  'scheduler.policy': named('other fifo rr batch iso idle deadline ext'),
  'scheduler.flags': bits(schedulerFlags),
  'scheduler.nice': (value) => String(BigInt.asIntN(32, value)),
  'io_priority.class': named('none realtime best-effort idle'),
  'memory_policy.mode': memoryPolicy,
  'personality.persona': hex,
  capabilities,
  effective: capabilities,
  permitted: capabilities,
  inheritable: capabilities,
  ambient: capabilities,
  mode: octal,
  mask: octal,
  'node.mode': fileMode,
  resource: (value) => resources[Number(value)] ?? String(value),
  soft: limit,
  hard: limit,
};
