import { damaged } from '../refused.ts';

/** Bytes, and a view of them that reads and writes four at a time, which costs as much as one. */
export interface Bytes {
  readonly bytes: Buffer;
  readonly view: DataView;
}

/** So many bytes are readable before what is decoded and after it: bits are read first, and then it is seen that they were none. */
export const marginBytes = 64;

/** Zeros, so that what is read by mistake is the same each time. */
export function bytesOf(length: number): Bytes {
  const bytes = Buffer.alloc(length);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, length) };
}

/** So many bits, 25 at most, from a bit on that is counted from the beginning of the bytes. */
export const bitsAt = (view: DataView, bit: number, count: number): number =>
  (view.getInt32(bit >> 3, true) >>> (bit & 7)) & ((1 << count) - 1);

/** Where the bits of a stream end that is read backwards: at the highest one that is set. */
export function lastBit({ bytes }: Bytes, start: number, end: number): number {
  const last = end > start ? bytes[end - 1]! : 0;
  if (last === 0) throw damaged('a bitstream has no end');
  return highestBit(last) + (end - 1) * 8;
}

export const highestBit = (value: number): number => 31 - Math.clz32(value);
