import { PassThrough, type Readable } from 'node:stream';
import type { LogBook, LogLine } from './logs.ts';

/**
 * One output stream of a container: always read into its log, so that a command never blocks because nobody listens; and
 * from the moment somebody asks for it, also given to them, who then set the pace.
 */
export class Output {
  readonly #source: Readable;
  #tap: PassThrough | undefined;
  /** Fulfilled when no more will come. */
  readonly ended: Promise<void>;
  #heldBack = false;
  #onHeldBack: (() => void) | undefined;

  constructor(source: Readable) {
    this.#source = source;
    this.ended = new Promise((resolve) => {
      source.once('close', resolve);
      // A terminal whose other side is gone says EIO, and a pipe that we destroy nothing: both are the end.
      source.once('error', () => resolve());
    });
    void this.ended.then(() => this.#tap?.end());
  }

  /** Begins to read. */
  record(book: LogBook, name: LogLine['stream']): void {
    this.#source.on('data', (chunk: Buffer) => {
      book.write(name, chunk);
      if (this.#tap !== undefined && !this.#tap.destroyed && !this.#tap.write(chunk)) this.#wait(this.#tap);
    });
  }

  get stream(): Readable {
    if (this.#tap === undefined) {
      this.#tap = new PassThrough();
      if (this.#source.destroyed) this.#tap.end();
    }
    return this.#tap;
  }

  /** Fulfilled when all has been read that can be without waiting for whoever listens. */
  async settled(): Promise<void> {
    if (this.#heldBack) return;
    const heldBack = new Promise<void>((resolve) => {
      this.#onHeldBack = resolve;
    });
    await Promise.race([this.ended, heldBack]);
  }

  close(): void {
    this.#source.destroy();
  }

  #wait(tap: PassThrough): void {
    this.#source.pause();
    this.#heldBack = true;
    this.#onHeldBack?.();
    const go = (): void => {
      tap.off('drain', go);
      tap.off('close', go);
      this.#heldBack = false;
      this.#source.resume();
    };
    // Who stops listening lets the container go on.
    tap.once('drain', go);
    tap.once('close', go);
  }
}
