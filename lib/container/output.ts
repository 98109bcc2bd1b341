import type { Readable, Writable } from 'node:stream';

/** How much of a stream is kept unless `maxOutput` says otherwise. */
const outputBytesMax = 100 * 1024 * 1024;

/**
 * Something that is read to its end: gives what it reads as it comes, and is fulfilled at the end; undefined where that has come at
 * once. What breaks has ended.
 */
export type Source = (take: (chunk: Uint8Array) => void) => Promise<void> | undefined;

export const streamSource =
  (stream: Readable): Source =>
  (take) =>
    new Promise((resolve) => {
      stream.on('data', take);
      stream.once('close', resolve);
      stream.once('end', resolve);
      stream.once('error', () => resolve());
    });

/** What a source said, up to a bound; what comes after it is read and thrown away, so that the writer never blocks. */
export class Collector {
  readonly #chunks: Uint8Array[] = [];
  readonly #bytesMax: number;
  #bytes = 0;
  /** Whether something was thrown away. */
  truncated = false;
  /** Fulfilled at the end of the source; undefined where there is nothing to wait for. */
  readonly ended: Promise<void> | undefined;

  constructor(source: Source, bytesMax: number = outputBytesMax) {
    this.#bytesMax = bytesMax;
    this.ended = source((chunk) => this.#take(chunk));
  }

  #take(chunk: Uint8Array): void {
    const room = this.#bytesMax - this.#bytes;
    if (chunk.length > room) this.truncated = true;
    const kept = chunk.length > room ? chunk.subarray(0, room) : chunk;
    if (kept.length > 0) this.#chunks.push(kept);
    this.#bytes += kept.length;
  }

  /** The text so far. Bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    return this.#bytes === 0 ? '' : Buffer.concat(this.#chunks).toString('utf8');
  }
}

/** Gives a command its input. It need not read it: that it ends first is no error. */
export function feed(stdin: Writable | undefined, input: string | Uint8Array | undefined): void {
  if (input === undefined) return;
  stdin?.on('error', () => {});
  stdin?.end(input);
}
