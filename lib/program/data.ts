import { encodeUtf8 } from './utf8.ts';

/**
 * The data section of a program while it is written: strings (NUL-terminated, each once), lists and blobs.
 * Every method gives the offset of what it wrote. Offset 0 means "nothing", hence the eight zero bytes at the start.
 */
export class Data {
  #bytes = new Uint8Array(4096);
  #view = new DataView(this.#bytes.buffer);
  #length = 8;
  readonly #texts = new Map<string, number>();
  readonly #sets = new Map<string, number>();
  readonly #max: number;
  readonly #tooBig: () => Error;

  /** @param room bytes that are left for data, @param tooBig makes the error for what does not fit */
  constructor(room: number, tooBig: () => Error) {
    this.#max = room;
    this.#tooBig = tooBig;
  }

  /** A string; the caller has made sure that there is no NUL in it. */
  text(text: string): number {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    const at = this.#ascii(text) ?? this.#append(encodeUtf8(text));
    this.#length++; // The NUL: fresh bytes are zero.
    this.#texts.set(text, at);
    return at;
  }

  /** A list of offsets or registers: a count and the values. */
  words(values: readonly number[]): number {
    const at = this.#take(4 + 4 * values.length);
    this.#view.setUint32(at, values.length, true);
    for (let i = 0; i < values.length; i++) this.#view.setUint32(at + 4 + 4 * i, values[i] as number, true);
    return at;
  }

  /** A list of numbers that many ops share: an errno set. */
  set(values: readonly number[]): number {
    const key = values.join();
    const at = this.#sets.get(key) ?? this.words(values);
    this.#sets.set(key, at);
    return at;
  }

  /** A blob: a count of bytes and the bytes. */
  blob(bytes: Uint8Array): number {
    const at = this.#take(4 + bytes.length);
    this.#view.setUint32(at, bytes.length, true);
    this.#bytes.set(bytes, at + 4);
    return at;
  }

  /** All of it, padded to 8 bytes; the last byte is a NUL, so that a string at any offset ends inside. */
  finish(): Uint8Array {
    const length = (this.#length + 8) & ~7;
    this.#grow(length);
    return this.#bytes.subarray(0, length);
  }

  /** Most strings are ASCII, and then a character is a byte. */
  #ascii(text: string): number | undefined {
    const at = this.#length;
    this.#grow(at + text.length + 1);
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (c >= 0x80) {
        this.#bytes.fill(0, at, at + i);
        return undefined;
      }
      this.#bytes[at + i] = c;
    }
    this.#length = at + text.length;
    return at;
  }

  #append(bytes: Uint8Array): number {
    const at = this.#length;
    this.#grow(at + bytes.length + 1);
    this.#bytes.set(bytes, at);
    this.#length = at + bytes.length;
    return at;
  }

  /** Room at the next multiple of 4. */
  #take(size: number): number {
    const at = (this.#length + 3) & ~3;
    this.#grow(at + size);
    this.#length = at + size;
    return at;
  }

  #grow(length: number): void {
    if (length > this.#max) throw this.#tooBig();
    if (length <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(2 * this.#bytes.length, length));
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
