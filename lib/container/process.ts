import { PassThrough, type Readable, type Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Executed } from '../host/exec.ts';
import type { Stdio } from '../node/stdio.ts';
import { openTerminal, type TerminalSize, type TerminalStream } from '../node/terminal.ts';
import { sentSignal } from '../spec/signals.ts';
import type { Deadline } from './deadline.ts';
import { Collector } from './output.ts';
import { type Exit, exitOf, type Result, resultOf } from './result.ts';

export interface ProcessParts {
  readonly command: readonly string[];
  readonly executed: Executed;
  readonly stdio: Stdio | undefined;
  readonly deadline: Deadline;
  readonly began: number;
  /** Of each stream, for the result; 0 where whoever has the streams reads them. */
  readonly outputBytesMax: number | undefined;
}

/** How long what a command left behind may hold its output, once the command was told to end. */
const lingerMs = 1000;

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
  readonly #executed: Executed;
  readonly #terminal: TerminalStream | undefined;
  readonly #exit: Promise<Exit>;
  #ended = false;

  constructor(parts: ProcessParts) {
    const { executed, stdio } = parts;
    this.pid = executed.pid;
    this.#executed = executed;
    this.#terminal = executed.console === undefined ? undefined : openTerminal(executed.console);
    this.stdin = this.#terminal ?? stdio?.stdin ?? new PassThrough();
    this.stdout = this.#terminal ?? stdio?.stdout ?? empty();
    this.stderr = stdio?.stderr ?? empty();
    // A command need not read its input: that it ends first is no error.
    this.stdin.on('error', () => {});
    this.#exit = executed.exit.then((exit) => {
      this.#ended = true;
      return exitOf(exit, false);
    });
    this.result = this.#follow(parts);
  }

  /** Sends it a signal, SIGTERM unless another is named; what it started is not asked. False when it has ended. */
  kill(signal = 'SIGTERM'): boolean {
    const number = sentSignal(signal);
    return !this.#ended && this.#executed.signal(number);
  }

  /** Tells a command with a terminal that its window has another size. */
  resize(size: TerminalSize): void {
    if (this.#terminal === undefined) {
      throw new RuntsError('ERR_STATE', 'the command has no terminal', { hint: 'Start it with tty: true.' });
    }
    this.#terminal.resize(size);
  }

  async #follow({ command, deadline, began, outputBytesMax }: ProcessParts): Promise<Result> {
    const collect = outputBytesMax !== 0;
    const streams = this.#terminal === undefined ? [this.stdout, this.stderr] : [this.stdout];
    const [stdout, stderr] = streams.map((stream) => (collect ? new Collector(stream, outputBytesMax) : undefined));
    const closed = Promise.all(streams.map(untilClosed));
    const exit = await deadline.untilExit({ wait: () => this.#exit, stop: ({ grace }) => this.#stop(grace) });
    deadline.clear();
    // What it left running may hold its output for ever. Whoever told it to end does not wait for that.
    if (deadline.timedOut || deadline.canceled) await Promise.race([closed, sleep(lingerMs)]);
    else await closed;
    for (const stream of [this.stdin, ...streams]) stream.destroy();
    this.#executed.release();
    return resultOf(exit, { command, stdout, stderr, began, deadline });
  }

  async #stop(grace: number): Promise<Exit> {
    this.kill('SIGTERM');
    const exit = await Promise.race([this.#exit, sleep(grace)]);
    if (exit !== undefined) return exit;
    this.kill('SIGKILL');
    return this.#exit;
  }
}

function empty(): Readable {
  return new PassThrough().end();
}

function untilClosed(stream: Readable): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.readableEnded) resolve();
    for (const event of ['close', 'end', 'error']) stream.once(event, () => resolve());
  });
}

/** Holds no program that could end. */
const sleep = (ms: number): Promise<undefined> =>
  new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
