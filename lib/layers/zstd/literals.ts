import { damaged } from '../refused.ts';
import { type Bytes, bitsAt, bytesOf, marginBytes } from './bits.ts';
import { HuffmanTable } from './huffman.ts';

/** By the two bits of a format: how many bits a size has, and how many bytes the header. */
const plainFormats = [
  [5, 1],
  [12, 2],
  [5, 1],
  [20, 3],
] as const;
const packedFormats = [
  [10, 3],
  [10, 3],
  [14, 4],
  [18, 5],
] as const;

/** The literals of a block (RFC 8878, 3.1.1.3.1): bytes that its sequences put before and between their matches. */
export class Literals {
  /** Where they lie. */
  readonly place: Bytes;
  count = 0;
  readonly #countMax: number;
  readonly #table = new HuffmanTable();

  constructor(countMax: number) {
    this.#countMax = countMax;
    this.place = bytesOf(countMax + marginBytes);
  }

  /** Of a new frame, which has nothing of the tables of the one before. */
  reset(): void {
    this.#table.clear();
  }

  /** Reads the section, from one byte on to another at most, and gives the byte after it. */
  read(input: Bytes, at: number, end: number): number {
    const type = input.bytes[at]! & 3;
    const format = (input.bytes[at]! >> 2) & 3;
    return type < 2
      ? this.#plain(input, at, end, type === 1, format)
      : this.#packed(input, at, end, type === 3, format);
  }

  #plain({ bytes, view }: Bytes, at: number, end: number, isRepeated: boolean, format: number): number {
    const [bits, headerBytes] = plainFormats[format]!;
    const start = at + headerBytes;
    this.#expect(bitsAt(view, at * 8 + (bits === 5 ? 3 : 4), bits));
    const stop = start + (isRepeated ? 1 : this.count);
    if (stop > end) throw damaged('literals are cut off');
    if (isRepeated) this.place.bytes.fill(bytes[start]!, 0, this.count);
    else bytes.copy(this.place.bytes, 0, start, stop);
    return stop;
  }

  #packed(input: Bytes, at: number, end: number, isTableKept: boolean, format: number): number {
    const [bits, headerBytes] = packedFormats[format]!;
    this.#expect(bitsAt(input.view, at * 8 + 4, bits));
    const stop = at + headerBytes + bitsAt(input.view, at * 8 + 4 + bits, bits);
    if (stop > end) throw damaged('literals are cut off');
    if (isTableKept && !this.#table.isSet) throw damaged('literals are in the code of others, of which there are none');
    const start = isTableKept ? at + headerBytes : this.#table.read(input, at + headerBytes, stop);
    if (format === 0) this.#table.decode(input, start, stop, this.place.bytes, this.count);
    else this.#table.decodeFour(input, start, stop, this.place.bytes, this.count);
    return stop;
  }

  #expect(count: number): void {
    if (count > this.#countMax) throw damaged('a block has more literals than it may have bytes');
    this.count = count;
  }
}
