import { setTimeout as sleep } from 'node:timers/promises';
import { RuntsError, specError } from '../errors.ts';
import { exec as execInHost } from '../host/exec.ts';
import { openStdio, type Stdio } from '../node/stdio.ts';
import { isMapped } from '../plan/keeper.ts';
import { parseBytes } from '../spec/bytes.ts';
import { checkExec, type ExecOptions } from '../spec/exec-options.ts';
import type { RunOptions } from '../spec/options.ts';
import { type ResolvedUser, resolveUser } from '../spec/users.ts';
import { Deadline } from './deadline.ts';
import { KnownCommand, Teachable, withholdAhead } from './exec-again.ts';
import { joining, processOf, type Running, type Started } from './joined.ts';
import { collected, Process, type ProcessParts } from './process.ts';
import { ExitError, type Result } from './result.ts';

/** Runs one more command to its end, and gives what it wrote. */
export async function execute(
  running: Running,
  command: readonly string[],
  options: ExecOptions & RunOptions,
): Promise<Result> {
  const known = KnownCommand.find(running, command, options);
  const teachable = known === undefined ? Teachable.of(command, options) : undefined;
  const asked = known ?? teachable ?? { command, options };
  // One that is known is neither checked nor compiled again.
  if (known === undefined) check(running, asked.command, asked.options, 'exec');
  const { input, timeout, reject = true, maxOutput, signal } = asked.options;
  const cancel = signal as AbortSignal | undefined;
  const deadline = Deadline.of(timeout, cancel);
  const how = { stdin: input === undefined ? 'ignore' : 'pipe', teachable } as const;
  const parts = await begin(
    running,
    asked.command,
    deadline,
    async () =>
      (await known?.start(running, deadline)) ??
      (await teachable?.start(running, deadline)) ??
      start(running, asked.command, asked.options, deadline, how),
  );
  const result = await collected(parts, { input, outputBytesMax: parseBytes(maxOutput) ?? undefined });
  (known ?? teachable?.known)?.ended(result.durationMs);
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

interface How {
  readonly stdin: 'ignore' | 'pipe';
  /** Where it may be asked for again. */
  readonly teachable?: Teachable | undefined;
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
  { stdin, teachable }: How,
): Promise<Started> {
  const { home, created } = running;
  const { host } = home;
  const signal = options.signal as AbortSignal | undefined;
  if (signal?.aborted)
    throw new RuntsError('ERR_CANCELED', 'canceled before the command was started', { cause: signal.reason });
  // It may put another root over that of what waits, and so may what it leaves behind.
  if (options.privileged === true) await withholdAhead(created);
  const facts = await home.facts();
  const user = await userOf(running, options.user);
  const { request, owner } = joining(running, facts, processOf(running, command, options, user));
  let stdio: Stdio | undefined;
  const open = () => {
    if (!request.process.terminal) stdio ??= openStdio({ stdin, stdout: 'pipe', stderr: 'pipe', owner });
    return stdio?.handles;
  };
  try {
    const executed = await execInHost(host, facts, {
      ...request,
      pid: created.session.pid,
      stdio: open,
      atOnce: true,
      opened: () => mustStillRun(running),
      cancel: deadline.signal,
    });
    teachable?.learn(running, { request, facts, owner });
    running.tell();
    return { executed, stdio };
  } catch (error) {
    stdio?.close();
    throw error;
  } finally {
    for (const handle of stdio?.handles ?? []) handle.close();
  }
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
