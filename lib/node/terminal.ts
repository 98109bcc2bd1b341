import { Duplex } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { orThrow, systemError } from './failure.ts';
import { openHandle } from './handle.ts';
import { type NativeTerminal, native } from './native.ts';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * The master of a pseudo-terminal as a stream: it ends when nobody has the other side open any more. What is written and
 * not read by the other side waits here; the event loop never does.
 */
export class TerminalStream extends Duplex {
  readonly #terminal: NativeTerminal;
  #waiting: (() => void) | undefined;

  /** Takes the handle over. */
  constructor(master: Handle) {
    super({ allowHalfOpen: false });
    this.#terminal = new native.Terminal(
      openHandle(master, 'terminal'),
      (bytes) => {
        if (!this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) this.#terminal.read(false);
      },
      (errno) => {
        if (errno !== 0) this.destroy(systemError(errno, 'read'));
        else this.push(null);
        this.#wake();
      },
      () => this.#wake(),
    );
  }

  /** Tells the other side, by SIGWINCH, that its window has another size. */
  resize({ columns, rows }: TerminalSize): void {
    for (const [name, value] of [
      ['columns', columns],
      ['rows', rows],
    ] as const) {
      if (Number.isInteger(value) && value >= 0 && value <= 65535) continue;
      throw new RuntsError('ERR_SPEC', `${name} of a terminal is a number from 0 to 65535, not ${String(value)}`);
    }
    orThrow(this.#terminal.resize(columns, rows), 'terminal');
  }

  /** Undefined once it has ended. */
  get size(): TerminalSize | undefined {
    return this.#terminal.size();
  }

  ref(): this {
    this.#terminal.keepAlive(true);
    return this;
  }

  unref(): this {
    this.#terminal.keepAlive(false);
    return this;
  }

  override _read(): void {
    this.#terminal.read(true);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const taken = this.#terminal.write(chunk);
    if (taken < 0) done(systemError(-taken, 'write'));
    else if (taken === chunk.length) done();
    else this.#waiting = () => this._write(chunk.subarray(taken), _encoding, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#terminal.close();
    this.#waiting = undefined;
    done(error);
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }
}

/** A stream over the master of a container's terminal, which it takes over. */
export function openTerminal(master: Handle): TerminalStream {
  return new TerminalStream(master);
}
