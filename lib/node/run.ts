import { type ChildProcess, spawn } from 'node:child_process';
import { promises as fs } from 'node:fs';
import { constants } from 'node:os';
import { isAbsolute } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { RunOptions, RunResult } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { systemError } from './failure.ts';
import { openHandle } from './handle.ts';
import { openStdio } from './stdio.ts';

const outputBytesMax = 64 * 1024;
/** How long what a program left running may keep its output open after the end of the program itself. */
const lingerMs = 200;
/** Longer than that no timer waits. */
const timeoutMsMax = 0x7fff_ffff;

/** Runs a program of the host to its end, in a session of its own. Output past 64 KiB a stream is let go. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  if (!isAbsolute(file))
    throw new RuntsError('ERR_SPEC', `${JSON.stringify(file)} is not an absolute path of a program`);
  const { cwd = '/', environment = [], name = file, input = '' } = options;
  // Pipes of our own: of those that Node makes it forgets our ends where it finds no descriptors left to start the program.
  const pipes = openStdio({ stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' });
  let limits: Limits | undefined;
  try {
    const env = environmentOf(environment);
    const stdio = pipes.handles.map((handle) => openHandle(handle).fd);
    const child = spawn(file, [...args], { argv0: name, env, cwd, stdio, detached: true });
    // Heard from the beginning: what cannot be started says so a moment later.
    const ended = exit(child);
    for (const handle of pipes.handles) handle.close();
    const [stdout, stderr] = [collect(pipes.stdout), collect(pipes.stderr)];
    give(pipes.stdin, input);
    limits = limit(child, options);
    const code = await ended;
    await whole([stdout, stderr]);
    return { code, timedOut: limits.timedOut(), stdout: stdout.text(), stderr: stderr.text() };
  } catch (error) {
    throw await missingDirectory(error, cwd);
  } finally {
    limits?.release();
    pipes.close();
  }
}

/** Of a name that stands twice the last holds, and an entry that is no `NAME=value` nobody could read. */
function environmentOf(entries: readonly string[]): Record<string, string> {
  const pairs = entries.map((entry) => [entry, entry.indexOf('=')] as const).filter(([, equals]) => equals >= 0);
  return Object.fromEntries(pairs.map(([entry, equals]) => [entry.slice(0, equals), entry.slice(equals + 1)]));
}

function exit(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** What the program left running may have the output open still, and is not waited for much longer. */
async function whole(outputs: readonly Output[]): Promise<void> {
  let linger: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    linger = setTimeout(resolve, lingerMs);
  });
  await Promise.race([Promise.all(outputs.map(({ ended }) => ended)), late]);
  clearTimeout(linger);
}

interface Limits {
  timedOut(): boolean;
  release(): void;
}

/** Kills all of its session's first group at the end of its time, or when nobody wants its result any more. */
function limit(child: ChildProcess, { timeoutMs, cancel }: RunOptions): Limits {
  let timedOut = false;
  // Until it is collected its number is nobody else's.
  const kill = (): void => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // Its end is on its way to us.
    }
  };
  const expire = (): void => {
    timedOut = child.exitCode === null && child.signalCode === null;
    kill();
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, Math.min(timeoutMs, timeoutMsMax));
  cancel?.addEventListener('abort', kill);
  if (cancel?.aborted) kill();
  return {
    timedOut: () => timedOut,
    release() {
      clearTimeout(timer);
      cancel?.removeEventListener('abort', kill);
    },
  };
}

/** What could not be executed and a working directory that is not there are told by the same errno. */
async function missingDirectory(error: unknown, cwd: string): Promise<unknown> {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return error;
  const there = await fs.stat(cwd).then(
    () => true,
    () => false,
  );
  return there ? error : systemError(errnoNumber('ENOENT'), 'chdir', cwd);
}

/** A program need not read its input: what is left of it is nobody's error. */
function give(stdin: Writable | undefined, input: string): void {
  stdin?.on('error', () => undefined);
  stdin?.end(input);
}

interface Output {
  /** Fulfilled at its end. */
  readonly ended: Promise<void>;
  text(): string;
}

function collect(stream: Readable | undefined): Output {
  const chunks: Buffer[] = [];
  let room = outputBytesMax;
  // What cannot be read of its output is lost; its exit code is what counts.
  stream?.on('error', () => undefined);
  stream?.on('data', (chunk: Buffer) => {
    if (room > 0) chunks.push(chunk.subarray(0, room));
    room -= chunk.length;
  });
  const ended = new Promise<void>((resolve) => {
    stream?.once('close', () => resolve());
  });
  return { ended, text: () => Buffer.concat(chunks).toString() };
}
