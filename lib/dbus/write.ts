import { encodeUtf8 } from '../program/utf8.ts';
import { alignmentOf, firstType, typesOf, type Value, type Variant } from './types.ts';

/** Bytes in the making, little-endian, each value at a multiple of its alignment. */
export class Writer {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Values of the types of a signature. */
  all(signature: string, values: readonly Value[]): this {
    typesOf(signature).forEach((type, i) => {
      this.value(type, values[i] as Value);
    });
    return this;
  }

  align(to: number): this {
    this.#grow((to - (this.#length % to)) % to);
    return this;
  }

  byte(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u32(value: number): this {
    this.align(4);
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  value(type: string, value: Value): void {
    this.align(alignmentOf(type));
    switch (type[0]) {
      case 'y':
        this.byte(value as number);
        return;
      case 'b':
        this.u32(value === true ? 1 : 0);
        return;
      case 'i':
        this.u32((value as number) >>> 0);
        return;
      case 'u':
      case 'h':
        this.u32(value as number);
        return;
      case 'x':
      case 't':
        this.#u64(BigInt.asUintN(64, BigInt(value as number | bigint)));
        return;
      case 's':
      case 'o':
        this.#text(value as string);
        return;
      case 'g':
        this.#signature(value as string);
        return;
      case 'v': {
        const { signature, value: inner } = value as Variant;
        this.#signature(signature);
        this.value(signature, inner);
        return;
      }
      case '(':
      case '{':
        this.all(type.slice(1, -1), value as readonly Value[]);
        return;
      case 'a':
        this.#array(firstType(type.slice(1)), value as readonly Value[]);
        return;
      default:
        throw new RangeError(`D-Bus values of the type ${JSON.stringify(type)} are not written here`);
    }
  }

  #array(item: string, values: readonly Value[]): void {
    const at = this.#grow(4);
    this.align(alignmentOf(item));
    const start = this.#length;
    for (const value of values) this.value(item, value);
    this.#view.setUint32(at, this.#length - start, true);
  }

  #u64(value: bigint): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value, true);
  }

  #text(text: string): void {
    const bytes = encodeUtf8(text);
    this.u32(bytes.length);
    this.append(bytes);
    this.byte(0);
  }

  #signature(text: string): void {
    const bytes = encodeUtf8(text);
    this.byte(bytes.length);
    this.append(bytes);
    this.byte(0);
  }

  append(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Room for so many bytes, zeroed; where it begins. The bytes may be others afterwards, and so may the view. */
  #grow(by: number): number {
    const at = this.#length;
    this.#length += by;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = new DataView(larger.buffer);
    }
    return at;
  }
}
