/** Small enough that hashing one chunk does not hold the event loop, large enough that chunks cost nothing. */
export const chunkBytes = 256 * 1024;

/**
 * Memory for chunks that is used again once they are given back.
 *
 * New memory for each chunk costs more than what is done with it: the kernel clears it, and the garbage collector, which
 * comes for every few of them, lets tens of megabytes pile up first. Whoever gives nothing back has ordinary buffers.
 */
export class ChunkPool {
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #free: Buffer[] = [];

  lend(): Buffer {
    const chunk = this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
    this.#lent.add(chunk.buffer);
    return chunk;
  }

  /** Takes a chunk back that nobody will look at any more, or a part of it; one that is none of ours is left alone. */
  giveBack(chunk: Buffer): void {
    if (this.#lent.delete(chunk.buffer)) this.#free.push(Buffer.from(chunk.buffer));
  }
}
