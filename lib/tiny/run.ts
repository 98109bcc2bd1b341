import { RuntsError } from '../errors.ts';
import type { RunOptions, RunResult } from '../host/host.ts';
import { systemError } from '../node/failure.ts';
import { after, forget, readable, watch, writable } from './loop.ts';
import { native, newHandle } from './native.ts';
import { bytesOf, call, errno, must, o, stat, system, textOf } from './system.ts';

const outputBytesMax = 64 * 1024;
/** How long what a program left running may keep its output open after the end of the program itself. */
const lingerMs = 200;
const sigkill = 9;

/** Runs a program of the host to its end, in a session of its own. Output past 64 KiB a stream is let go. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  if (file[0] !== '/') throw new RuntsError('ERR_SPEC', `${JSON.stringify(file)} is not an absolute path of a program`);
  const { cwd = '/', environment = [], name = file, input = '' } = options;
  const pipes = [openPipe(false), openPipe(true), openPipe(true)] as const;
  const [stdin, stdout, stderr] = pipes;
  const close = (): void => {
    for (const { ours, theirs } of pipes) for (const end of [ours, theirs]) end.close();
  };
  try {
    const pid = system.start(
      file,
      [name, ...args],
      environmentOf(environment),
      cwd,
      pipes.map(({ theirs }) => theirs.fd),
    );
    if (pid === -errno.noent && typeof stat(cwd) === 'number') throw systemError(errno.noent, 'chdir', cwd);
    must(pid, 'spawn', file);
    for (const { theirs } of pipes) theirs.close();
    const outputs = [collect(stdout.ours.fd), collect(stderr.ours.fd)] as const;
    const stopGiving = give(stdin.ours, input);
    const limits = limit(pid, options);
    const code = await ended(pid);
    limits.release();
    const linger = after(lingerMs);
    await Promise.race([Promise.all(outputs.map((output) => output.ended)), linger.done]);
    linger.cancel();
    stopGiving();
    const [out, err] = outputs.map((output) => output.text()) as [string, string];
    return { code, timedOut: limits.timedOut(), stdout: out, stderr: err };
  } finally {
    close();
  }
}

interface Pipe {
  readonly ours: ReturnType<typeof newHandle>;
  readonly theirs: ReturnType<typeof newHandle>;
}

/** Only our end is non-blocking: a program does not expect it of its own. */
function openPipe(oursReads: boolean): Pipe {
  const ends = new Int32Array(2);
  must(call.pipe2(new Uint8Array(ends.buffer), o.closeOnExec), 'pipe2');
  const [reads = -1, writes = -1] = ends;
  const [ours, theirs] = oursReads ? [reads, writes] : [writes, reads];
  call.fcntl(ours, 4, o.nonblock); // F_SETFL
  return { ours: newHandle(ours), theirs: newHandle(theirs) };
}

/** Of a name that stands twice the last holds, and an entry that is no `NAME=value` nobody could read. */
function environmentOf(entries: readonly string[]): string[] {
  const named = new Map(entries.filter((entry) => entry.includes('=')).map((entry) => [entry.split('=', 1)[0], entry]));
  return [...named.values()];
}

function ended(pid: number): Promise<number> {
  const process = newHandle(must(call.pidfd_open(pid, 0), 'pidfd_open'));
  return new Promise((resolve) => {
    void new native.Exit(process, true, (code, signal) => resolve(code ?? 128 + (signal ?? 0)));
  });
}

interface Limits {
  timedOut(): boolean;
  release(): void;
}

/** Kills all of its session's first group at the end of its time, or when nobody wants its result any more. */
function limit(pid: number, { timeoutMs, cancel }: RunOptions): Limits {
  let over = false;
  let late = false;
  // Until it is collected, which is told at once, its number is nobody else's.
  const kill = (): void => {
    if (!over) call.kill(-pid, sigkill);
  };
  const timer = timeoutMs === undefined ? undefined : after(timeoutMs);
  void timer?.done.then(() => {
    late = !over;
    kill();
  });
  cancel?.addEventListener('abort', kill);
  if (cancel?.aborted) kill();
  return {
    timedOut: () => late,
    release() {
      over = true;
      timer?.cancel();
      cancel?.removeEventListener('abort', kill);
    },
  };
}

/** A program need not read its input: what is left of it is nobody's error. */
function give(stdin: ReturnType<typeof newHandle>, input: string): () => void {
  let bytes = bytesOf(input);
  const entry = watch(stdin.fd, writable, () => {
    const n = bytes.length === 0 ? 0 : call.write(stdin.fd, bytes, bytes.length);
    if (n === -errno.again) return;
    bytes = bytes.subarray(Math.max(n, 0));
    if (n < 0 || bytes.length === 0) stop();
  });
  const stop = (): void => {
    forget(entry);
    stdin.close();
  };
  return stop;
}

function collect(fd: number): { readonly ended: Promise<void>; text(): string } {
  const kept = new Uint8Array(outputBytesMax);
  const chunk = new Uint8Array(outputBytesMax);
  let length = 0;
  let stop = (): void => {};
  const whole = new Promise<void>((resolve) => {
    const entry = watch(fd, readable, () => {
      const n = call.read(fd, chunk, chunk.length);
      if (n === -errno.again) return;
      if (n <= 0) stop();
      const room = chunk.subarray(0, Math.min(Math.max(n, 0), kept.length - length));
      kept.set(room, length);
      length += room.length;
    });
    stop = () => {
      forget(entry);
      resolve();
    };
  });
  return {
    ended: whole,
    text() {
      stop();
      return textOf(kept, length);
    },
  };
}
