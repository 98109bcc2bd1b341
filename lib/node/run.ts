import { type ChildProcess, spawn } from 'node:child_process';
import { promises as fs } from 'node:fs';
import { constants } from 'node:os';
import { isAbsolute } from 'node:path';
import type { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { RunOptions, RunResult } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { systemError } from './failure.ts';

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
  const env = environmentOf(environment);
  const child = spawn(file, [...args], { argv0: name, env, cwd, stdio: 'pipe', detached: true });
  // Heard from the beginning: what cannot be started says so a moment later, and has no streams where descriptors ran out.
  const ended = end(child);
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  give(child, input);
  const limits = limit(child, options);
  try {
    const code = await ended;
    return { code, timedOut: limits.timedOut(), stdout: stdout(), stderr: stderr() };
  } catch (error) {
    throw await missingDirectory(error, cwd);
  } finally {
    limits.release();
  }
}

/** Of a name that stands twice the last holds, and an entry that is no `NAME=value` nobody could read. */
function environmentOf(entries: readonly string[]): Record<string, string> {
  const pairs = entries.map((entry) => [entry, entry.indexOf('=')] as const).filter(([, equals]) => equals >= 0);
  return Object.fromEntries(pairs.map(([entry, equals]) => [entry.slice(0, equals), entry.slice(equals + 1)]));
}

/** The exit code, once the output is whole too; what the program left running is not waited for much longer. */
function end(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      const done = () => {
        clearTimeout(linger);
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      };
      const linger = setTimeout(done, lingerMs);
      child.once('close', done);
    });
  });
}

/** Kills all of its session's first group at the end of its time, or when nobody wants its result any more. */
function limit(child: ChildProcess, { timeoutMs, cancel }: RunOptions) {
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
function give(child: ChildProcess, input: string): void {
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
}

function collect(stream: Readable | null | undefined): () => string {
  const chunks: Buffer[] = [];
  let room = outputBytesMax;
  // What cannot be read of its output is lost; its exit code is what counts.
  stream?.on('error', () => undefined);
  stream?.on('data', (chunk: Buffer) => {
    if (room > 0) chunks.push(chunk.subarray(0, room));
    room -= chunk.length;
  });
  return () => Buffer.concat(chunks).toString();
}
