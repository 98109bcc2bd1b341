import { PassThrough, type Readable, type Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Executed } from '../host/exec.ts';
import type { Stdio } from '../node/stdio.ts';
import { openTerminal, type TerminalSize, type TerminalStream } from '../node/terminal.ts';
import { sentSignal } from '../spec/signals.ts';
import type { Deadline } from './deadline.ts';
import { Execution } from './execution.ts';
import { Collector, feed, streamSource } from './output.ts';
import { exitOf, type Result, resultOf } from './result.ts';

export interface ProcessParts {
  readonly command: readonly string[];
  readonly executed: Executed;
  readonly stdio: Stdio | undefined;
  readonly deadline: Deadline;
  readonly began: number;
}

/** A command that was started in a container, beside its own: its streams, and how it ends. */
export class Process {
  /** As the host counts processes. */
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Of a command with a terminal: empty, for all of it comes by `stdout`. */
  readonly stderr: Readable;
  /** How it ended, once it has and all that it wrote has been read. Never rejects. */
  readonly result: Promise<Result>;
  readonly #terminal: TerminalStream | undefined;
  readonly #execution: Execution;

  constructor(parts: ProcessParts) {
    const { executed, stdio } = parts;
    this.pid = executed.pid;
    this.#terminal = terminalOf(executed);
    this.stdin = this.#terminal ?? stdio?.stdin ?? new PassThrough();
    this.stdout = this.#terminal ?? stdio?.stdout ?? empty();
    this.stderr = stdio?.stderr ?? empty();
    // A command need not read its input: that it ends first is no error.
    this.stdin.on('error', () => {});
    this.#execution = new Execution(executed);
    this.result = this.#follow(parts);
  }

  /** Sends it a signal, SIGTERM unless another is named; what it started is not asked. False when it has ended. */
  kill(signal = 'SIGTERM'): boolean {
    return this.#execution.signal(sentSignal(signal));
  }

  /** Tells a command with a terminal that its window has another size. */
  resize(size: TerminalSize): void {
    if (this.#terminal === undefined) {
      throw new RuntsError('ERR_STATE', 'the command has no terminal', { hint: 'Start it with tty: true.' });
    }
    this.#terminal.resize(size);
  }

  async #follow({ command, deadline, began }: ProcessParts): Promise<Result> {
    const streams = this.#terminal === undefined ? [this.stdout, this.stderr] : [this.stdout];
    const exit = await this.#execution.over(deadline, Promise.all(streams.map(untilClosed)));
    for (const stream of [this.stdin, ...streams]) stream.destroy();
    return resultOf(exit, { command, stdout: undefined, stderr: undefined, began, deadline });
  }
}

export interface Collecting {
  readonly input: string | Uint8Array | undefined;
  /** Of each stream. */
  readonly outputBytesMax: number | undefined;
}

/** How a command that was started ended, and what it wrote: where nobody else wants to read that. */
export async function collected(
  { command, executed, stdio, deadline, began }: ProcessParts,
  { input, outputBytesMax }: Collecting,
): Promise<Result> {
  const terminal = terminalOf(executed);
  feed(terminal ?? stdio?.stdin, input);
  const [stdout, stderr] =
    terminal === undefined
      ? ([1, 2] as const).map((number) => new Collector((take) => stdio!.read(number, take), outputBytesMax))
      : [new Collector(streamSource(terminal), outputBytesMax)];
  const ends = [stdout?.ended, stderr?.ended];
  const { over } = executed;
  const isAllThere = over !== undefined && ends.every((end) => end === undefined);
  const exit = isAllThere ? exitOf(over, false) : await new Execution(executed).over(deadline, Promise.all(ends));
  if (isAllThere) executed.release();
  terminal?.destroy();
  stdio?.close();
  return resultOf(exit, { command, stdout, stderr, began, deadline });
}

const terminalOf = ({ console }: Executed): TerminalStream | undefined =>
  console === undefined ? undefined : openTerminal(console);

function empty(): Readable {
  return new PassThrough().end();
}

function untilClosed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.readableEnded) resolve();
    for (const event of ['close', 'end', 'error']) stream.once(event, () => resolve());
  });
}
