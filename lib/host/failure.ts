import type { ErrorCode } from '../error-codes.ts';
import { type ErrorFields, RuntsError } from '../errors.ts';
import { type Circumstance, hintFor, isWithheld, newerCall, type Place } from '../hints.ts';
import type { Facts } from '../plan/facts.ts';
import type { Input, Segment } from '../plan/plan.ts';
import { errnoName, errnoText } from '../program/errno.ts';
import type { Frame } from '../program/frames.ts';
import type { Op, OpName, Step } from '../program/ops.ts';
import { decodeUtf8 } from '../program/utf8.ts';
import { rlimitName, schedulerPolicies } from '../spec/names.ts';
import type { Exit } from './host.ts';
import { messageOf } from './undo.ts';

export { isWithheld, usedUp, withheld } from '../hints.ts';

type ErrorFrame = Extract<Frame, { kind: 'error' }>;

/** The name of the errno that a port failed with, as Node's errors have it: `ENOENT`. */
export function errnoOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
  return RuntsError.is(error) ? error.failure?.errno : undefined;
}

export interface Attempt {
  readonly at: Place;
  /** `write "max" to pids.max`: follows `cannot`. */
  readonly doing: string;
  readonly origin?: string | undefined;
  readonly facts?: Facts | undefined;
}

/** What the host was refused, as an ERR_SETUP with a hint; an error that is ours already says enough by itself. */
export function refused(error: unknown, { at, doing, origin, facts }: Attempt): RuntsError {
  if (RuntsError.is(error)) return error;
  const errno = errnoOf(error);
  const { syscall: step, path = '' } = error as { readonly syscall?: string; readonly path?: string };
  const call = errno === 'ENOSYS' || errno === 'EPERM' ? newerCall(step, path) : undefined;
  const where = call === undefined ? '' : ` in ${call}`;
  const why = errno === undefined ? messageOf(error) : `${errno}${where}, ${errnoText(errno)}`;
  return new RuntsError(
    'ERR_SETUP',
    `cannot ${doing}: ${why}${origin === undefined ? '' : `\n  at ${placed(origin)}`}`,
    {
      origin,
      hint: errno === undefined ? undefined : hintFor({ at, errno, step, detail: path || doing, facts }),
      cause: error,
    },
  );
}

/** An error frame in words: which op, on what, why, and what to do; the plan knows what the init does not send. */
export function opFailure(frame: ErrorFrame, segment: Segment, facts?: Facts, inputs: Inputs = []): RuntsError {
  const errno = errnoName(frame.errno);
  const op = segment.ops[frame.index];
  const name = op?.op ?? frame.op ?? 'op';
  const failure = { index: frame.index, op: name, step: frame.step, errno, detail: frame.detail };
  if (op === undefined && frame.step !== 'verify') {
    const hint = hintFor({ at: 'spawn', step: frame.step, errno, detail: frame.detail, facts });
    const message = `cannot start the init: ${errno} in ${newerCall(frame.step) ?? frame.step}, ${errnoText(errno)}`;
    return failed('ERR_SETUP', message, { hint, failure });
  }
  if (frame.step === 'verify' || op === undefined) {
    const where = `op ${frame.index} (${name})`;
    return new RuntsError('ERR_INTERNAL', `the init refused the program at ${where}: ${frame.detail || errno}`, {
      failure,
    });
  }
  const { operands } = op as { readonly operands: Readonly<Record<string, unknown>> };
  const circumstance: Circumstance = {
    at: name as OpName,
    step: frame.step,
    errno,
    detail: frame.detail,
    operands,
    facts,
  };
  const fields = { origin: op.origin, hint: hintFor(circumstance), failure };
  const where = `\n  at ${placed(op.origin)} → op ${frame.index} ${name}`;
  if (name === 'hook') return failed('ERR_SETUP', hookFailure(op, errno, frame.detail), fields);
  const isCommand = (name === 'find' || name === 'exec') && !isWithheld(circumstance);
  const command = isCommand ? commandFailure(frame, op, segment, errno) : undefined;
  if (command !== undefined) {
    const { message, exit, hint = fields.hint } = command;
    return failed('ERR_EXEC', message, { ...fields, exit, hint });
  }
  const why = `${errno}${during(frame.step, frame.detail)}${inWords(errno)}`;
  return failed('ERR_SETUP', `cannot ${attempted(op, segment, inputs)}: ${why}${where}`, fields);
}

const failed = (code: ErrorCode, message: string, fields: ErrorFields) => new RuntsError(code, message, fields);

/** The init ended before the command ran and did not say why. */
export function diedSilently(exit: Exit, last: string): RuntsError {
  const how = exit.signal === undefined ? `with exit code ${exit.code}` : `by signal ${exit.signal}`;
  return new RuntsError('ERR_SETUP', `the init died ${how} before the command ran. The last it said: ${last}`, {
    hint:
      exit.signal === 9
        ? 'Signal 9 comes from whoever killed it, or from the kernel when memory ran out (memory.max of the cgroup, dmesg).'
        : undefined,
  });
}

const placed = (origin: string) => (origin.startsWith('/') ? `config ${origin}` : origin);

// ---- the command -----------------------------------------------------------------------------------------------------

interface CommandFailure {
  readonly message: string;
  readonly exit: 126 | 127;
  readonly hint?: string;
}

/** In the words by which callers of a runtime know the common refusals. */
const inWords = (errno: string) =>
  'EPERM EACCES ENOENT'.includes(errno) ? ` (${errnoText(errno).split(' by ')[0]!.split(' to ')[0]})` : '';

/**
 * Docker's two exit codes: 127 for a command that is not there, 126 for one that cannot be executed. In the words of runc,
 * which callers of a runtime look for.
 */
function commandFailure(frame: ErrorFrame, op: Op, segment: Segment, errno: string): CommandFailure {
  const files = 'files' in op.operands ? op.operands.files : [];
  const name = commandName(segment, files);
  if (errno !== 'ENOENT') {
    const why = errno === 'EACCES' ? 'permission denied' : errno === 'ENOEXEC' ? 'exec format error' : errnoText(errno);
    return { message: `exec ${frame.detail || name}: ${why}`, exit: 126 };
  }
  const found = op.op === 'exec' && segment.ops.some((other) => other.op === 'find');
  if (found) {
    const hint =
      'The file is there; its interpreter (the #! line, or the loader of the binary) is not in the container.';
    return { message: `exec ${frame.detail || name}: no such file or directory`, exit: 127, hint };
  }
  if (files.length === 1 && files[0] === name) return { message: `exec ${name}: no such file or directory`, exit: 127 };
  const hint = `It was looked for in ${files.map(directoryOf).join(', ')}: the PATH of the container.`;
  return { message: `exec: ${quoted(name)}: executable file not found in $PATH`, exit: 127, hint };
}

/** The command as the user wrote it: a word without a slash was looked up, anything else is the path itself. */
function commandName(segment: Segment, files: readonly string[]): string {
  const exec = segment.ops.find((op) => op.op === 'exec');
  const word = exec !== undefined && 'argv' in exec.operands ? exec.operands.argv[0] : undefined;
  const file = files[0] ?? '';
  const base = file.slice(file.lastIndexOf('/') + 1);
  if (files.length > 1) return base;
  return word !== undefined && (word === base || word === file) ? word : file;
}

const directoryOf = (file: string) => file.slice(0, file.lastIndexOf('/')) || '/';

/** In the words that callers know: `error running createContainer hook #1: /bin/x: exit status 3: …`. */
function hookFailure({ origin, operands }: Op, errno: string, detail: string): string {
  const [, , kind, index] = origin.split('/');
  const { path } = operands as { readonly path: string };
  const why = detail === '' || detail === path ? errnoText(errno) : detail;
  return `error running ${kind} hook #${index}: ${path}: ${why}`;
}

// ---- ops in words ----------------------------------------------------------------------------------------------------

/** What was being done when a system call failed, as far as the name of the op does not say it. */
const stepWords: Partial<Record<Step, string>> = {
  injected: 'by injection',
  openat2: 'while opening',
  open: 'while opening',
  open_tree: 'while cloning',
  fsopen: 'while opening the file system type',
  fsconfig: 'while setting',
  fsconfig_create: 'while creating the file system',
  mount_setattr: 'while setting the attributes of',
  move_mount: 'while attaching',
  mkdirat: 'while making the directory',
  fstat: 'while looking at',
  write: 'while writing',
  fchmodat: 'while setting the mode of',
  fchownat: 'while setting the owner of',
  setgroups: 'in setgroups',
  setresgid: 'in setresgid',
  setresuid: 'in setresuid',
  prctl: 'in prctl',
  capset: 'in capset',
  execve: 'while executing',
  unlinkat: 'while removing',
  outside_root: 'since it leads out of the container:',
  null_device: 'since it is not the null device:',
};

function during(step: Step, detail: string): string {
  const doing = stepWords[step];
  if (detail === '') return doing === undefined || doing.endsWith(':') ? '' : ` ${doing}`.replace(/ of$/, '');
  return ` ${doing ?? `in ${step}, at`} ${quoted(detail)}`;
}

type Inputs = readonly Input[];
type Describe<Operands> = (operands: Operands, target: string | undefined, inputs: Inputs) => string;
type Words = { readonly [N in OpName]?: Describe<never> };

const on = (target: string | undefined) => (target === undefined ? '' : ` on ${target}`);

/** `cannot …`: only for ops that a name and a path describe better than `run op NAME`. */
const words: Words = {
  fsmount: (o: { fstype: string }, target) => `mount ${o.fstype}${on(target)}`,
  clone_mount: (o: { path: string }, target) => `bind ${o.path}${on(target)}`,
  clone_below: (o: { path: string }, target) => `bind ${o.path} of the container${on(target)}`,
  mount_attributes: (_: unknown, target) => `set the options of the mount${on(target)}`,
  idmap: (_: unknown, target) => `map the owners of the mount${on(target)}`,
  attach: (o: { path: string }) => `mount on ${o.path}`,
  attach_host: (o: { path: string }) => `mount on ${o.path} of the host`,
  open: (o: { path: string }) => `open ${o.path} of the host`,
  find: (o: { files: readonly string[] }) => `look at ${o.files[0] ?? 'the command'}`,
  open_below: (o: { path: string }) => `open ${o.path}`,
  inherit: (o: { path: string }) => `look at ${o.path}`,
  mask: (o: { path: string }) => `mask ${o.path}`,
  readonly: (o: { path: string }) => `make ${o.path} read-only`,
  pivot: () => 'change to the root of the container',
  directory: (o: { path: string }) => `make the directory ${o.path}`,
  symlink: (o: { path: string }) => `make the link ${o.path}`,
  file: (o: { path: string }) => `make the file ${o.path}`,
  node: (o: { path: string }) => `make the device ${o.path}`,
  write: (o: { path: string; content: Uint8Array }) =>
    `write ${shortened(decodeUtf8(o.content))} to ${settingOf(o.path)}`,
  chown: (o: { path: string }) => `set the owner of ${o.path}`,
  chmod: (o: { path: string }) => `set the mode of ${o.path}`,
  remove_tree: (o: { path: string }) => `remove ${o.path}`,
  become_root: () => 'become root in the user namespace',
  unshare: () => 'make new namespaces',
  join: ({ user = '', namespaces }: { namespaces: readonly string[]; user?: string }, _, inputs) =>
    `join ${[user, ...namespaces]
      .filter((name) => name !== '')
      .map((name) => namespaceOf(name, inputs))
      .join(', ')}`,
  hostname: (o: { name: string }) => `set the host name to ${quoted(o.name)}`,
  domainname: (o: { name: string }) => `set the domain name to ${quoted(o.name)}`,
  link_up: (o: { name: string }) => `bring up the interface ${o.name}`,
  rlimit: (o: { resource: number; soft: bigint; hard: bigint }) =>
    `set ${rlimitName(o.resource) ?? `the limit ${o.resource}`} to ${limited(o.soft)}, at most ${limited(o.hard)}`,
  scheduler: (o: { policy: number; priority: number; nice: number }) =>
    `schedule by ${schedulerPolicies[o.policy] ?? o.policy} with priority ${o.priority} and nice ${o.nice | 0}`,
  io_priority: (o: { class: number; priority: number }) => `take the I/O class ${o.class} with priority ${o.priority}`,
  affinity: () => 'bind to these processors',
  memory_policy: () => 'set the memory policy',
  personality: () => 'set the execution domain',
  net_device: (o: { name: string }) => `move the network device ${o.name} into the container`,
  reconfigure: () => 'change the options of the file system',
  copy_tree: () => 'copy what the image has there (tmpcopyup)',
  listener: () => 'install the seccomp filter with its listener',
  reap: () => 'fork the process 1',
  outlive: () => 'have process 1 outlive its host',
  chdir: (o: { path: string }) => `change to the working directory ${o.path}`,
  chdir_again: (o: { path: string }) => `change to the working directory ${o.path} as the user of the command`,
  plain_output: () => 'set the terminal up',
  keep_only: () => 'close what belongs to the host',
  ids: (o: { uid: number; gid: number }) => `become user ${o.uid}:${o.gid}`,
  capabilities: () => 'set the capabilities',
  bounding: () => 'reduce the capability bounding set',
  seccomp: () => 'install the seccomp filter',
  pty: () => 'open a terminal',
};

function namespaceOf(register: string, inputs: Inputs): string {
  const input = inputs.find((other) => other.register === register);
  return input?.kind === 'namespace' ? `the ${input.type} namespace ${input.path}` : `the namespace ${register}`;
}

/** These files are below a procfs, wherever that is. */
const settingOf = (path: string) => (/^(self|sys)\//.test(path) ? `/proc/${path}` : path);
const shortened = (text: string) => quoted(text.length > 64 ? `${text.slice(0, 61)}...` : text);
const limited = (value: bigint) => (value === (1n << 64n) - 1n ? 'unlimited' : `${value}`);

function attempted(op: Op, segment: Segment, inputs: Inputs): string {
  const describe = words[op.op] as Describe<unknown> | undefined;
  return describe?.(op.operands, targetOf(op, segment), inputs) ?? `run ${op.op}`;
}

/** Where the mount that an op makes or changes is going to be: the path of the attach that comes for its register. */
function targetOf(op: Op, segment: Segment): string | undefined {
  const { dst, src } = op.operands as { readonly dst?: string; readonly src?: string };
  const register = dst ?? src;
  const attach = segment.ops
    .slice(segment.ops.indexOf(op) + 1)
    .find((other) => (other.op === 'attach' || other.op === 'attach_host') && other.operands.src === register);
  if (attach === undefined) return undefined;
  const { path } = attach.operands as { readonly path: string };
  return path.startsWith('/') ? path : `/${path}`;
}

const quoted = (text: string) => JSON.stringify(text);
