import { PassThrough, type Readable } from 'node:stream';
import type { LogBook, LogLine } from './logs.ts';

/**
 * One output of a container, of each run of its command after the other: always read into its log, so that a command never
 * blocks because nobody listens; and from the moment somebody asks for it, also given to them, who then set the pace.
 */
export class Output {
  readonly #name: LogLine['stream'];
  #sources: Source[] = [];
  #tap: PassThrough | undefined;
  #isOver = false;

  constructor(name: LogLine['stream'], source: Readable) {
    this.#name = name;
    this.add(source);
  }

  /** The stream of the next run; the one before has ended, or is held back by whoever listens. */
  add(source: Readable): void {
    this.#sources = [...this.#sources.filter(({ isOver }) => !isOver), new Source(source)];
  }

  /** Begins to read the newest. */
  record(book: LogBook): void {
    this.#newest.read((chunk) => {
      book.write(this.#name, chunk);
      const tap = this.#tap;
      return tap !== undefined && !tap.destroyed && !tap.write(chunk) ? tap : undefined;
    });
  }

  get stream(): Readable {
    if (this.#tap === undefined) {
      this.#tap = new PassThrough();
      if (this.#isOver) this.#tap.end();
    }
    return this.#tap;
  }

  /** Fulfilled when all of the newest has been read that can be without waiting for whoever listens. */
  settled(): Promise<void> {
    return this.#newest.settled();
  }

  /** Whether there is no more of the newest to read. */
  get isRead(): boolean {
    return this.#newest.isOver;
  }

  /** There will be no other run: fulfilled when no more will come. */
  async over(): Promise<void> {
    await Promise.all(this.#sources.map(({ ended }) => ended));
    this.#isOver = true;
    this.#tap?.end();
  }

  close(): void {
    for (const source of this.#sources) source.close();
  }

  get #newest(): Source {
    return this.#sources.at(-1)!;
  }
}

/** What comes from one run. */
class Source {
  readonly #stream: Readable;
  readonly ended: Promise<void>;
  isOver = false;
  #heldBack = false;
  #onHeldBack: (() => void) | undefined;

  constructor(stream: Readable) {
    this.#stream = stream;
    this.ended = new Promise<void>((resolve) => {
      stream.once('close', resolve);
      // A terminal whose other side is gone says EIO, and a pipe that we destroy nothing: both are the end.
      stream.once('error', () => resolve());
    }).then(() => {
      this.isOver = true;
    });
  }

  /** Gives each piece to a taker, who may say whom to wait for. */
  read(take: (chunk: Buffer) => PassThrough | undefined): void {
    this.#stream.on('data', (chunk: Buffer) => {
      const full = take(chunk);
      if (full !== undefined) this.#wait(full);
    });
  }

  async settled(): Promise<void> {
    if (this.#heldBack) return;
    const heldBack = new Promise<void>((resolve) => {
      this.#onHeldBack = resolve;
    });
    await Promise.race([this.ended, heldBack]);
  }

  close(): void {
    this.#stream.destroy();
  }

  #wait(tap: PassThrough): void {
    this.#stream.pause();
    this.#heldBack = true;
    this.#onHeldBack?.();
    const go = (): void => {
      tap.off('drain', go);
      tap.off('close', go);
      this.#heldBack = false;
      this.#stream.resume();
    };
    // Who stops listening lets the container go on.
    tap.once('drain', go);
    tap.once('close', go);
  }
}
