import { decodeUtf8 } from '../program/utf8.ts';
import { alignmentOf, firstType, typesOf, type Value } from './types.ts';

/** How deep values may lie in one another (D-Bus Specification, "Valid Signatures"). */
const depthMax = 64;

/** Reads values from bytes of either byte order; whatever is not well formed throws a RangeError. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  #at: number;
  #depth = 0;

  constructor(bytes: Uint8Array, little: boolean, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#little = little;
    this.#at = at;
  }

  get at(): number {
    return this.#at;
  }

  align(to: number): void {
    this.#at += (to - (this.#at % to)) % to;
  }

  /** The values of a signature. */
  all(signature: string): Value[] {
    return typesOf(signature).map((type) => this.value(type));
  }

  value(type: string): Value {
    if (++this.#depth > depthMax) throw new RangeError('values lie too deep in one another');
    try {
      this.align(alignmentOf(type));
      return this.#value(type);
    } finally {
      this.#depth--;
    }
  }

  #value(type: string): Value {
    switch (type[0]) {
      case 'y':
        return this.#view.getUint8(this.#take(1));
      case 'n':
        return this.#view.getInt16(this.#take(2), this.#little);
      case 'q':
        return this.#view.getUint16(this.#take(2), this.#little);
      case 'b':
        return this.#u32() !== 0;
      case 'i':
        return this.#view.getInt32(this.#take(4), this.#little);
      case 'u':
      case 'h':
        return this.#u32();
      case 'x':
        return this.#view.getBigInt64(this.#take(8), this.#little);
      case 't':
        return this.#view.getBigUint64(this.#take(8), this.#little);
      case 'd':
        return this.#view.getFloat64(this.#take(8), this.#little);
      case 's':
      case 'o':
        return this.#text(this.#u32());
      case 'g':
        return this.#text(this.#view.getUint8(this.#take(1)));
      case 'v': {
        const signature = this.#text(this.#view.getUint8(this.#take(1)));
        return { signature, value: this.value(firstType(signature)) };
      }
      case '(':
      case '{':
        return this.all(type.slice(1, -1));
      default:
        return this.#array(firstType(type.slice(1)));
    }
  }

  #array(item: string): Value[] {
    const length = this.#u32();
    this.align(alignmentOf(item));
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError('an array is longer than its message');
    const values: Value[] = [];
    while (this.#at < end) values.push(this.value(item));
    if (this.#at !== end) throw new RangeError('the last item of an array ends behind it');
    return values;
  }

  #u32(): number {
    return this.#view.getUint32(this.#take(4), this.#little);
  }

  #text(length: number): string {
    const at = this.#take(length + 1);
    return decodeUtf8(this.#bytes.subarray(at, at + length));
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new RangeError('a value is longer than its message');
    this.#at += length;
    return at;
  }
}
