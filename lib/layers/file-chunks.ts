import { close, open, read } from 'node:fs';
import { Readable } from 'node:stream';
import { chunkBytes } from './decompress.ts';

/**
 * A file from its beginning, as a stream of chunks whose memory is read into again once they are given back.
 *
 * New memory for each chunk costs more than the reading: the kernel clears it, and the garbage collector comes for every few
 * of them. Whoever gives nothing back has an ordinary stream.
 */
export class FileChunks extends Readable {
  readonly #path: string;
  #fd: number | undefined;
  #bytesRead = 0;
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #free: Buffer[] = [];

  constructor(path: string) {
    super({ highWaterMark: chunkBytes });
    this.#path = path;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Takes a chunk back that nobody will look at any more; one that is none of ours is left alone. */
  giveBack(chunk: Buffer): void {
    if (this.#lent.delete(chunk.buffer) && !this.destroyed) this.#free.push(Buffer.from(chunk.buffer));
  }

  override _construct(done: (error?: Error | null) => void): void {
    open(this.#path, 'r', (error, fd) => {
      if (error === null) this.#fd = fd;
      done(error);
    });
  }

  override _read(): void {
    const buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
    read(this.#fd!, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error !== null) {
        this.destroy(error);
        return;
      }
      this.#bytesRead += bytes;
      if (bytes > 0) this.#lent.add(buffer.buffer);
      this.push(bytes === 0 ? null : buffer.subarray(0, bytes));
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) done(error);
    else close(fd, (failed) => done(error ?? failed));
  }
}
