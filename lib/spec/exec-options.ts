import type { Issue } from '../errors.ts';
import { optionChecks, runOptionChecks, words } from './check-options.ts';
import { mergeEnv } from './env.ts';
import { capabilityNames } from './names.ts';
import type { CommonOptions } from './options.ts';
import { boolean, closed, type Fields, issuesOf } from './shape.ts';
import type { Capabilities, Process, Spec } from './types.ts';
import type { ResolvedUser } from './users.ts';

/** How one more command runs in a container. What is not said is as it is for the container's own command. */
export interface ExecOptions extends Pick<CommonOptions, 'cwd' | 'tty'> {
  /** Added to the environment of the container's command. */
  readonly env?: CommonOptions['env'];
  /** A user, or user and group, of the container, by name or number. */
  readonly user?: CommonOptions['user'];
  /** All capabilities, those that the container itself does not have among them. Its system call filter stays. */
  readonly privileged?: boolean;
  /** Before the command runs it cancels; then it ends the command. */
  readonly signal?: CommonOptions['signal'];
}

const { env, cwd, user, tty, signal } = optionChecks;
const fields = { env, cwd, user, tty, signal, privileged: boolean } as Fields;
const commandCheck = words(1);

/** What other tools call them. */
const renamed = { workdir: 'cwd', WorkingDir: 'cwd', environment: 'env', terminal: 'tty', cmd: 'command' };

/** Of a command whose streams are handed over, and of one that is run to its end: each put together once. */
const optionsCheck = {
  spawn: closed(fields, 'option', renamed),
  exec: closed({ ...fields, ...runOptionChecks }, 'option', renamed),
} as const;

/** Everything that is wrong with a command and its options. */
export function checkExec(command: unknown, options: unknown, how: keyof typeof optionsCheck = 'spawn'): Issue[] {
  return [...issuesOf(command, commandCheck, '/command'), ...issuesOf(options, optionsCheck[how])];
}

/** The process that options (checked before) stand for in a container of this configuration. */
export function execProcess(
  spec: Spec,
  command: readonly string[],
  options: ExecOptions,
  user: ResolvedUser | undefined,
): Process {
  const { env = {}, cwd, tty = false, privileged = false } = options;
  const base = spec.process;
  const given = Object.keys(env).map((name) => `${name}=${env[name]}`);
  const own = [...(tty === false ? [] : ['TERM=xterm']), ...(base?.env ?? [])];
  return {
    ...base,
    args: command,
    cwd: cwd ?? base?.cwd ?? '/',
    env: mergeEnv(own, user === undefined ? [] : [`HOME=${user.home}`], given),
    terminal: tty !== false,
    consoleSize: typeof tty === 'object' ? { height: tty.rows, width: tty.columns } : undefined,
    user: {
      uid: user?.uid ?? base?.user.uid ?? 0,
      gid: user?.gid ?? base?.user.gid ?? 0,
      additionalGids: user?.additionalGids ?? base?.user.additionalGids,
      umask: base?.user.umask,
    },
    capabilities: capabilities(base, user, privileged),
  };
}

/** Another user has of the container's capabilities what execve(2) would leave them; root has all. */
function capabilities(
  base: Process | undefined,
  user: ResolvedUser | undefined,
  privileged: boolean,
): Capabilities | undefined {
  if (user === undefined && !privileged) return base?.capabilities;
  const bounding = privileged ? capabilityNames : (base?.capabilities?.bounding ?? []);
  const effective = (user?.uid ?? base?.user.uid ?? 0) === 0 ? bounding : [];
  return { bounding, effective, permitted: effective, inheritable: [], ambient: [] };
}
