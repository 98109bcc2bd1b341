import { setTimeout as sleep } from 'node:timers/promises';
import { RuntsError, specError } from '../errors.ts';
import { execAgain, type KnownExec, knownExec } from '../host/again.ts';
import { type Executed, exec as execInHost, type ExecRequest as HostRequest } from '../host/exec.ts';
import type { Session } from '../host/host.ts';
import type { Prepared } from '../host/prepare.ts';
import { type Birthplace, briefMs } from '../host/walk.ts';
import { openStdio, type Stdio } from '../node/stdio.ts';
import { ownNamespaces } from '../plan/exec.ts';
import type { Facts } from '../plan/facts.ts';
import { isMapped } from '../plan/keeper.ts';
import { parseBytes } from '../spec/bytes.ts';
import { dataText, isSameData } from '../spec/data-text.ts';
import { checkExec, type ExecOptions, execProcess } from '../spec/exec-options.ts';
import type { RunOptions } from '../spec/options.ts';
import { Recent } from '../spec/recent.ts';
import type { Process as ProcessSpec, Spec } from '../spec/types.ts';
import { type ResolvedUser, resolveUser } from '../spec/users.ts';
import { Deadline } from './deadline.ts';
import type { Home } from './home.ts';
import { pipeOwner } from './owner.ts';
import { collected, Process, type ProcessParts } from './process.ts';
import { ExitError, type Result } from './result.ts';

/** A container that runs, as a command that is to join it needs it. */
export interface Running {
  readonly id: string;
  readonly home: Home;
  readonly prepared: Pick<Prepared, 'spec'> & { readonly plan: Pick<Prepared['plan'], 'maps'> };
  readonly created: {
    readonly session: Pick<Session, 'pid' | 'process'>;
    readonly cgroup: Birthplace | undefined;
  };
  /** Its process 1 holds files of the host. */
  readonly outlives?: true;
  /** Settled when the end of the container is known. */
  readonly ended: Promise<unknown>;
  /** A command has been started in it. */
  tell(): void;
}

/** Runs one more command to its end, and gives what it wrote. */
export async function execute(
  running: Running,
  command: readonly string[],
  options: ExecOptions & RunOptions,
): Promise<Result> {
  const known = learned
    .get(running.created)
    ?.match((each) => isSameData(command, each.command) && isSameData(options, each.options));
  const text = known === undefined ? textOf(command, options) : undefined;
  // What can be known again is what its text says: the caller's may say something else each time that it is looked at.
  const asked: Asked = known ?? (text === undefined ? { command, options } : JSON.parse(text));
  // One that is known is neither checked nor compiled again.
  if (known === undefined) check(running, asked.command, asked.options, 'exec');
  const { input, timeout, reject = true, maxOutput, signal } = asked.options;
  const cancel = signal as AbortSignal | undefined;
  const deadline = Deadline.of(timeout, cancel);
  const learn =
    text === undefined ? undefined : (made: Made) => note(running, text, { ...asked, ...made, lasts: false });
  const how = { stdin: input === undefined ? 'ignore' : 'pipe', learn } as const;
  const parts = await begin(
    running,
    asked.command,
    deadline,
    async () =>
      (known && (await startAgain(running, known, deadline))) ??
      start(running, asked.command, asked.options, deadline, how),
  );
  const result = await collected(parts, { input, outputBytesMax: parseBytes(maxOutput) ?? undefined });
  if (known !== undefined) known.lasts = result.durationMs > 2 * briefMs;
  if (result.failed && reject) throw new ExitError(result, cancel?.reason);
  return result;
}

/** Starts one more command, and hands its streams over. */
export async function spawn(running: Running, command: readonly string[], options: ExecOptions): Promise<Process> {
  check(running, command, options, 'spawn');
  const deadline = Deadline.of(undefined, options.signal as AbortSignal | undefined);
  const how = { stdin: 'pipe' } as const;
  return new Process(await begin(running, command, deadline, () => start(running, command, options, deadline, how)));
}

/** What was executed in a run of a container, by the text of what was asked for: it is asked for again more often than not. */
const learned = new WeakMap<Running['created'], Recent<Known>>();
const learnedMax = 8;

interface Asked {
  readonly command: readonly string[];
  readonly options: ExecOptions & RunOptions;
}

interface Made {
  readonly again: KnownExec;
  /** What it was made for. */
  readonly facts: Facts;
  /** Of its pipes. */
  readonly owner: ReturnType<typeof pipeOwner>;
}

interface Known extends Asked, Made {
  /** It took long the last time: who waits for its end is told at once that it runs. */
  lasts: boolean;
}

/** Undefined where it may be another command the next time: a user's ids are looked up in the container. */
function textOf(command: unknown, options: ExecOptions & RunOptions): string | undefined {
  try {
    const { user, tty, input } = options;
    const isPlain = (user === undefined || user === '') && (tty === undefined || tty === false) && input === undefined;
    const text = isPlain ? dataText({ command, options }) : undefined;
    return text === undefined || text.length > keyLengthMax ? undefined : text;
  } catch {
    return undefined;
  }
}

function note({ created }: Running, text: string, known: Known): void {
  const recent = learned.get(created) ?? new Recent<Known>(learnedMax);
  learned.set(created, recent);
  recent.get(text, () => known);
}

interface How {
  readonly stdin: 'ignore' | 'pipe';
  /** Hears how it can be made once more. */
  readonly learn?: ((made: Made) => void) | undefined;
}

function check(
  { outlives }: Running,
  command: unknown,
  options: ExecOptions,
  how: Parameters<typeof checkExec>[2],
): void {
  const issues = checkExec(command, options, how);
  if (outlives === true && options?.privileged === true) {
    const message = 'must not be true in a detached container: with CAP_SYS_PTRACE its log could be written by anybody';
    issues.push({ path: '/privileged', message });
  }
  if (issues.length > 0) throw specError('cannot run a command of these options', issues);
}

async function begin(
  running: Running,
  command: readonly string[],
  deadline: Deadline,
  work: () => Promise<Started>,
): Promise<ProcessParts> {
  const began = performance.now();
  try {
    const { executed, stdio } = await deadline.making(work);
    return { command, executed, stdio, deadline, began };
  } catch (error) {
    deadline.clear();
    throw saysWhy(error) || !(await ends(running)) ? error : hasEnded(running, error);
  }
}

/** Errors of what was asked, not of a container that goes away under the command. */
const saysWhy = (error: unknown): boolean =>
  RuntsError.is(error) &&
  ['ERR_SPEC', 'ERR_STATE', 'ERR_EXEC', 'ERR_NOT_FOUND', 'ERR_CANCELED', 'ERR_TIMEOUT'].includes(error.code);

/** The time that the end of a container, which made a command in it fail, may take to be known. */
const endMs = 2000;

/** Whether the container has ended, or is about to: what fails because of that says anything, and not so. */
function ends({ ended }: Running): Promise<boolean> {
  return Promise.race([ended.then(() => true), sleep(endMs, false, { ref: false })]);
}

async function start(
  running: Running,
  command: readonly string[],
  options: ExecOptions,
  deadline: Deadline,
  { stdin, learn }: How,
): Promise<Started> {
  const { home, prepared, created, id } = running;
  const { host } = home;
  const signal = options.signal as AbortSignal | undefined;
  if (signal?.aborted)
    throw new RuntsError('ERR_CANCELED', 'canceled before the command was started', { cause: signal.reason });
  const facts = await home.facts();
  const user = await userOf(running, options.user);
  const process = processOf(running, command, options, user);
  const owner = pipeOwner(prepared.plan, process.user, facts.privileged);
  let stdio: Stdio | undefined;
  const open = () => {
    if (!process.terminal) stdio ??= openStdio({ stdin, stdout: 'pipe', stderr: 'pipe', owner });
    return stdio?.handles;
  };
  try {
    const request = {
      id,
      spec: prepared.spec,
      process,
      pid: created.session.pid,
      first: firstOf(running, facts),
      cgroup: created.cgroup,
      stdio: open,
      ownStdio: true,
      atOnce: true,
      opened: () => mustStillRun(running),
      cancel: deadline.signal,
    } as const;
    const executed = await execInHost(host, facts, request);
    const again = learn && knownExec(facts, request);
    if (again !== undefined) learn?.({ again, facts, owner });
    running.tell();
    return { executed, stdio };
  } catch (error) {
    stdio?.close();
    throw error;
  } finally {
    for (const handle of stdio?.handles ?? []) handle.close();
  }
}

interface Started {
  readonly executed: Executed;
  readonly stdio: Stdio | undefined;
}

/** What is known to be the command is executed. Undefined where it cannot be, and is known no more: why, is told by the ordinary way. */
async function startAgain(running: Running, known: Known, deadline: Deadline): Promise<Started | undefined> {
  const begun = (await running.home.facts()) === known.facts ? await beginAgain(running, known, deadline) : undefined;
  if (begun === undefined) learned.delete(running.created);
  else running.tell();
  return begun;
}

async function beginAgain(
  { home, created }: Running,
  { again, facts, owner, lasts }: Known,
  deadline: Deadline,
): Promise<Started | undefined> {
  // Who may have to stop it has to have it.
  const stayMs = lasts || deadline.signal !== undefined ? undefined : briefMs;
  const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', owner, late: true });
  let begun: Executed | undefined;
  try {
    begun = await execAgain(home.host, again, {
      facts,
      process: created.session.process,
      stdio: stdio.handles,
      cgroup: created.cgroup?.handle,
      cancel: deadline.signal,
      stayMs,
    });
  } finally {
    for (const handle of stdio.handles) handle.close();
    if (begun === undefined) stdio.close();
  }
  return begun && { executed: begun, stdio };
}

/** By their configuration: a command that is asked for again is the same one, and its plan is known. */
const asked = new WeakMap<Spec, Recent<ProcessSpec>>();
const askedMax = 8;
/** Of a command and its environment. */
const keyLengthMax = 16 * 1024;

function processOf(
  { id, prepared: { spec } }: Running,
  command: readonly string[],
  options: ExecOptions,
  user: ResolvedUser | undefined,
): ProcessSpec {
  const { env, cwd, tty, privileged } = options;
  const key = JSON.stringify([id, command, env, cwd, tty, privileged, user]);
  // The caller may change its list.
  const make = () => execProcess(spec, [...command], options, user);
  if (key.length > keyLengthMax) return make();
  const recent = asked.get(spec) ?? new Recent<ProcessSpec>(askedMax);
  asked.set(spec, recent);
  return recent.get(key, make);
}

/** How its namespaces are entered at once. Those of a container that somebody else may have made are looked at instead. */
function firstOf({ prepared, created, outlives }: Running, facts: Facts): HostRequest['first'] {
  const namespaces = outlives === true ? undefined : ownNamespaces(prepared.spec, facts);
  return namespaces && { process: created.session.process, namespaces };
}

/** A number of a process that has ended may be another's by now, and the namespaces that it led to, too. */
async function mustStillRun(running: Running): Promise<void> {
  const { home, created } = running;
  if (home.host.processes.signal(created.session.process, 0)) return;
  throw hasEnded(running);
}

const hasEnded = ({ id }: Running, cause?: unknown): RuntsError =>
  new RuntsError('ERR_STATE', `cannot run a command in container ${id}: it has ended`, { cause });

/** Files of an image are hostile: no more of them is read. */
const accountsBytesMax = 1024 * 1024;

/** Who it runs as, where something else is asked for than the container's own user: looked up in the container as it is now. */
async function userOf(
  { home, created, prepared }: Running,
  asked: string | undefined,
): Promise<ResolvedUser | undefined> {
  if (asked === undefined || asked === '') return undefined;
  const root = `/proc/${created.session.pid}/root`;
  const [passwd, group] = await Promise.all(
    ['etc/passwd', 'etc/group'].map((path) => home.host.files.readBelow(root, path, accountsBytesMax)),
  );
  const user = resolveUser(asked, passwd, group);
  const { maps } = prepared.plan;
  if (maps === undefined) return user;
  // The groups of an account are a convenience: those that the container cannot have are left away.
  const additionalGids = maps.setgroups === 'deny' ? [] : user.additionalGids.filter((gid) => isMapped(maps.gids, gid));
  return { ...user, additionalGids };
}
