import { close, open, read } from 'node:fs';
import { Readable } from 'node:stream';
import { ChunkPool, chunkBytes } from './chunk-pool.ts';

/** A file from its beginning, as a stream of chunks of a pool, which are read into again once they are given back. */
export class FileChunks extends Readable {
  readonly pool = new ChunkPool();
  readonly #path: string;
  #fd: number | undefined;
  #bytesRead = 0;

  constructor(path: string) {
    super({ highWaterMark: chunkBytes });
    this.#path = path;
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  override _construct(done: (error?: Error | null) => void): void {
    open(this.#path, 'r', (error, fd) => {
      if (error === null) this.#fd = fd;
      done(error);
    });
  }

  override _read(): void {
    const buffer = this.pool.lend();
    read(this.#fd!, buffer, 0, buffer.length, null, (error, bytes) => {
      if (error !== null) {
        this.destroy(error);
        return;
      }
      this.#bytesRead += bytes;
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
