import { MessageChannel, type MessagePort } from 'node:worker_threads';

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
  readonly #adopted = new WeakSet<ArrayBufferLike>();
  readonly #free: Buffer[] = [];

  lend(): Buffer {
    const chunk = this.#free.pop() ?? Buffer.allocUnsafeSlow(chunkBytes);
    this.#lent.add(chunk.buffer);
    return chunk;
  }

  /** A piece of memory that somebody else has made, and fills from its beginning to its end: it is freed once that is given back. */
  adopt(chunk: Buffer): Buffer {
    this.#adopted.add(chunk.buffer);
    return chunk;
  }

  /** Takes a chunk back that nobody will look at any more, or a part of it; one that is none of ours is left alone. */
  giveBack(chunk: Buffer): void {
    const { buffer } = chunk;
    if (this.#lent.delete(buffer)) this.#free.push(Buffer.from(buffer));
    else if (chunk.byteOffset + chunk.length === buffer.byteLength && this.#adopted.delete(buffer)) free(buffer);
  }
}

let nowhere: MessagePort | undefined;

/** What is transferred to nobody is gone at once; else it would be there until the garbage collector comes. */
function free(memory: ArrayBufferLike): void {
  if (nowhere === undefined) {
    nowhere = new MessageChannel().port1;
    nowhere.close();
  }
  nowhere.postMessage(undefined, [memory as ArrayBuffer]);
}
