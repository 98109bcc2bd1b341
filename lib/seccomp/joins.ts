import { callsOf, type NativeArch } from './arch.ts';
import { actions } from './profile.ts';
import { simulate } from './simulate.ts';
import { syscallNumbers } from './syscalls.ts';

const clonePidfd = 0x1000n;
const cloneParent = 0x8000n;
const sigchld = 17n;
const setControllingTerminal = 0x540en;

/** What the init calls from its fork into a PID namespace, or from its wait before that, on to the execution of the command: a call, and its arguments. */
const calls: readonly (readonly [name: string, ...args: bigint[]])[] = [
  ['pipe2', 0n, 0o2000000n],
  ['clone', clonePidfd | cloneParent | sigchld],
  ['sendmsg', 3n],
  ['write', 5n],
  ['exit_group'],
  ['close', 4n],
  ['read', 4n, 0n, 1n],
  ['setsid'],
  ['ioctl', 0n, setControllingTerminal],
  ['recvmsg', 3n],
  ['fcntl', 3n, 1030n, 4n],
  ['dup3', 4n, 3n],
  ['close_range', 3n, 0xffffffffn],
  ['prlimit64', 0n, 7n],
  ['rt_sigaction', 2n],
  ['rt_sigprocmask', 2n],
  ['execve'],
];

/** Of one that has waited: where it is to be it goes only then, and looks for the command. */
const laterCalls: typeof calls = [['chdir'], ['getcwd'], ['openat2'], ['statx'], ['faccessat2']];

const harmless: ReadonlySet<number> = new Set([actions.SCMP_ACT_ALLOW.value, actions.SCMP_ACT_LOG.value]);

/** Whether a process that joins a container can have its filter before it can be seen in there, and still arrive. */
export function letsJoin(filter: Uint8Array, arch: NativeArch, waits = false): boolean {
  const numbers = syscallNumbers(arch);
  const { audit } = callsOf[arch];
  return (waits ? [...calls, ...laterCalls] : calls).every(([name, ...args]) =>
    harmless.has(simulate(filter, { arch: audit, nr: numbers.get(name)!, args })),
  );
}
