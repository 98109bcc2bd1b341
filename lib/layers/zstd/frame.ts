import { damaged } from '../refused.ts';
import type { FrameHeader } from './frame-header.ts';
import type { Input } from './input.ts';
import { Literals } from './literals.ts';
import { Sequences } from './sequences.ts';
import { Window } from './window.ts';

/** What a block has at most, compressed or not. */
export const blockBytesMax = 128 * 1024;

/** The header of a block (RFC 8878, 3.1.1.2). */
export interface Block {
  readonly type: 'raw' | 'repeated' | 'compressed';
  /** Of what it becomes, or where it is compressed, of what it is. */
  readonly size: number;
}

const types = ['raw', 'repeated', 'compressed'] as const;

export function readBlock(word: number): Block {
  const type = types[(word >> 1) & 3];
  if (type === undefined) throw damaged('a block is of no known kind');
  return { type, size: word >> 3 };
}

/** Frames, one after the other in the same memory: there may be one for each file of a layer. */
export class Frame {
  readonly #literals = new Literals(blockBytesMax);
  readonly #sequences = new Sequences();
  readonly #window = new Window();
  #blockBytesMax = 0;
  #contentBytes: number | undefined;
  #bytes = 0;

  begin({ windowBytes, contentBytes }: FrameHeader): void {
    this.#blockBytesMax = Math.min(windowBytes, blockBytesMax);
    this.#contentBytes = contentBytes;
    this.#bytes = 0;
    this.#literals.reset();
    this.#sequences.reset();
    this.#window.reset(windowBytes, this.#blockBytesMax);
  }

  /** So many bytes of input a block takes. */
  inputBytes({ type, size }: Block): number {
    if (size > this.#blockBytesMax) throw damaged('a block is too large');
    return type === 'repeated' ? 1 : size;
  }

  /** Decompresses a block that is there as a whole. What it becomes is a view that the next block changes. */
  decompress({ type, size }: Block, input: Input): Buffer {
    const window = this.#window;
    const start = window.beginBlock();
    const at = input.at;
    if (type === 'raw') window.put(input, at, size);
    else if (type === 'repeated') window.fill(input.bytes[at]!, size);
    else {
      const sequences = this.#literals.read(input, at, at + size);
      this.#sequences.execute(input, sequences, at + size, this.#literals, window);
    }
    this.#bytes += window.at - start;
    if (this.#bytes > (this.#contentBytes ?? Number.POSITIVE_INFINITY)) throw damaged('a frame has more than it says');
    return window.bytes.subarray(start, window.at);
  }

  end(): void {
    if (this.#bytes !== (this.#contentBytes ?? this.#bytes)) throw damaged('a frame has less than it says');
  }
}
