import { damaged } from '../refused.ts';
import { type Bytes, bytesOf, marginBytes } from './bits.ts';

/** From so far back four bytes can be copied at once. */
const strideBytes = 4;

/**
 * What was decompressed of a frame last, as far back as it may be wanted.
 *
 * A block is put behind the one before, or where there is no more room for a whole one, at the beginning again: then what
 * is wanted of the blocks before lies behind it.
 */
export class Window {
  #at = 0;
  /** Where what was written before ends that is behind `at` now. */
  #oldEnd = 0;
  /** Where a block may end, and this one. */
  #end = 0;
  #blockEnd = 0;
  #blockBytesMax = 0;
  #place: Bytes = bytesOf(0);

  get bytes(): Buffer {
    return this.#place.bytes;
  }

  /** Where the next byte goes. */
  get at(): number {
    return this.#at;
  }

  /** For a new frame, of which so many bytes may be wanted. Of memory that is asked for, only what frames reach is used. */
  reset(windowBytes: number, blockBytesMax: number): void {
    // The margin behind the window: a copy writes up to a stride beyond its end.
    this.#end = windowBytes + marginBytes + blockBytesMax;
    const wanted = this.#end + marginBytes;
    const had = this.#place.bytes.length;
    // Twice as much, for of many frames each may want a little more.
    if (had < wanted) this.#place = bytesOf(Math.max(wanted, 2 * had));
    this.#at = this.#oldEnd = 0;
    this.#blockBytesMax = blockBytesMax;
  }

  /** Makes room for a block; gives where it begins. */
  beginBlock(): number {
    if (this.#at + this.#blockBytesMax > this.#end) {
      this.#oldEnd = this.#at;
      this.#at = 0;
    }
    this.#blockEnd = this.#at + this.#blockBytesMax;
    return this.#at;
  }

  /** Puts bytes that lie somewhere else. */
  put({ bytes }: Bytes, from: number, count: number): void {
    this.#expect(count);
    bytes.copy(this.#place.bytes, this.#at, from, from + count);
    this.#at += count;
  }

  fill(byte: number, count: number): void {
    this.#expect(count);
    this.#place.bytes.fill(byte, this.#at, this.#at + count);
    this.#at += count;
  }

  /** Puts a few bytes that lie somewhere else, and again so many of those that were `offset` bytes before these. */
  sequence(from: DataView, fromAt: number, literals: number, offset: number, length: number): void {
    const { view } = this.#place;
    const start = this.#at + literals;
    const stop = start + length;
    if (stop > this.#blockEnd) throw tooLong();
    for (let at = this.#at, source = fromAt; at < start; at += strideBytes, source += strideBytes) {
      view.setInt32(at, from.getInt32(source, true), true);
    }
    this.#at = stop;
    let at = start;
    let back = offset;
    if (offset > start) at = this.#fromOld(start, offset, stop);
    if (offset < strideBytes) {
      // What is repeated that often is the same from a multiple of it on.
      for (const next = at + strideBytes - 1; at < next; at++) view.setInt8(at, view.getInt8(at - offset));
      back = offset === 3 ? 6 : strideBytes;
    }
    for (; at < stop; at += strideBytes) view.setInt32(at, view.getInt32(at - back, true), true);
  }

  /** What lies behind `at`, of blocks before; gives how far that went. */
  #fromOld(start: number, offset: number, stop: number): number {
    const source = this.#oldEnd - (offset - start);
    if (source < start + strideBytes) throw damaged('a match is further back than what there is');
    const end = Math.min(stop, start + this.#oldEnd - source);
    this.#place.bytes.copyWithin(start, source, source + end - start);
    return end;
  }

  #expect(count: number): void {
    if (this.#at + count > this.#blockEnd) throw tooLong();
  }
}

const tooLong = () => damaged('a block becomes more than it may');
