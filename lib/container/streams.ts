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

  close(): void {
    this.#source.destroy();
  }

  #wait(tap: PassThrough): void {
    this.#source.pause();
    const go = (): void => {
      tap.off('drain', go);
      tap.off('close', go);
      this.#source.resume();
    };
    // Who stops listening lets the container go on.
    tap.once('drain', go);
    tap.once('close', go);
  }
}
