import { randomFillSync } from 'node:crypto';
import { componentBytesMax, pathsMax } from './limits.ts';
import { NumberRows } from './number-rows.ts';
import { Refused } from './refused.ts';

export const rootPath = 0;
/** What `find` says of a path that has no number. */
export const noPath = -1;

const columns = { directory: 0, name: 1 } as const;
const chunkBytes = 64 * 1024;
const slash = 0x2f;

/** Random words by a byte and its place in a name: nobody who makes an archive can choose names that fall together. */
let words: Uint32Array | undefined;

/**
 * Gives paths numbers. A path is the number of its directory, which is smaller, and a name in that. Names are bytes in buffers:
 * strings would survive each collection of young garbage, for which V8 then takes ever more memory.
 *
 * Paths are byte strings, relative, of components such as `pathComponents` gives, and `''` is the root.
 */
export class PathTable {
  readonly #rows = new NumberRows(2);
  /** Names, each after a byte that is its length; none is in two chunks. */
  readonly #chunks: Buffer[] = [];
  #end = chunkBytes;
  #size = 1;
  /** Open-addressed: numbers of paths, and 0, which is in no directory, where there is none. */
  #slots = new Uint32Array(1024);
  /** The path that is looked up. */
  #path = Buffer.alloc(chunkBytes);
  readonly #words: Uint32Array;

  constructor() {
    words ??= randomFillSync(new Uint32Array((componentBytesMax + 1) * 256));
    this.#words = words;
  }

  /** How many there are; their numbers are below. */
  get size(): number {
    return this.#size;
  }

  find(path: string): number {
    const { number, length } = this.nearest(path);
    return length === path.length ? number : noPath;
  }

  /** The longest part of a path, from its beginning, that has a number. */
  nearest(path: string): { readonly number: number; readonly length: number } {
    return this.#walk(path, false);
  }

  /** The number of a path, which is given one where it has none. */
  add(path: string): number {
    return this.#walk(path, true).number;
  }

  directoryOf(path: number): number {
    return this.#rows.get(path, columns.directory);
  }

  text(path: number): string {
    const names: string[] = [];
    for (let at = path; at !== rootPath; at = this.directoryOf(at)) {
      const [chunk, start] = this.#nameOf(at);
      names.push(chunk.toString('latin1', start, start + chunk[start - 1]!));
    }
    return names.reverse().join('/');
  }

  #walk(path: string, makes: boolean): { readonly number: number; readonly length: number } {
    if (path.length > this.#path.length) this.#path = Buffer.alloc(path.length);
    this.#path.write(path, 'latin1');
    let number = rootPath;
    for (let start = 0; start < path.length; ) {
      let end = start;
      while (end < path.length && this.#path[end] !== slash) end++;
      const slot = this.#slot(number, start, end - start);
      if (this.#slots[slot] === 0 && !makes) return { number, length: Math.max(0, start - 1) };
      number = this.#slots[slot]! || this.#make(slot, number, start, end - start);
      start = end + 1;
    }
    return { number, length: path.length };
  }

  /** Where the number of a name in a directory is, or would be; the name is in the path that is looked up. */
  #slot(directory: number, start: number, length: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#hash(directory, this.#path, start, length) & mask; ; slot = (slot + 1) & mask) {
      const number = this.#slots[slot]!;
      if (number === 0) return slot;
      if (this.directoryOf(number) === directory && this.#isNamed(number, start, length)) return slot;
    }
  }

  #hash(directory: number, bytes: Buffer, start: number, length: number): number {
    let hash = Math.imul(directory, this.#words[0]! | 1);
    for (let i = 0; i < length; i++) hash ^= this.#words[((i + 1) << 8) | bytes[start + i]!]!;
    return hash;
  }

  #isNamed(number: number, start: number, length: number): boolean {
    const [chunk, at] = this.#nameOf(number);
    if (chunk[at - 1] !== length) return false;
    let i = 0;
    while (i < length && chunk[at + i] === this.#path[start + i]) i++;
    return i === length;
  }

  #nameOf(number: number): readonly [chunk: Buffer, start: number] {
    const place = this.#rows.get(number, columns.name);
    return [this.#chunks[Math.floor(place / chunkBytes)]!, (place % chunkBytes) + 1];
  }

  #make(slot: number, directory: number, start: number, length: number): number {
    // Of an archive's own names `pathComponents` has made sure; links of lower layers may lead to others.
    if (length > componentBytesMax) throw new Refused(`a part of the path that it leads to has ${length} bytes`);
    if (this.#size >= pathsMax) throw new Refused(`it has more than ${pathsMax} directories and links`);
    if (this.#end + length + 1 > chunkBytes) {
      this.#chunks.push(Buffer.alloc(chunkBytes));
      this.#end = 0;
    }
    const chunk = this.#chunks.at(-1)!;
    chunk[this.#end] = length;
    this.#path.copy(chunk, this.#end + 1, start, start + length);
    const number = this.#size++;
    this.#rows.set(number, columns.directory, directory);
    this.#rows.set(number, columns.name, (this.#chunks.length - 1) * chunkBytes + this.#end);
    this.#end += length + 1;
    this.#slots[slot] = number;
    if (this.#size * 2 > this.#slots.length) this.#grow();
    return number;
  }

  #grow(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    const mask = this.#slots.length - 1;
    for (let number = 1; number < this.#size; number++) {
      const [chunk, start] = this.#nameOf(number);
      let slot = this.#hash(this.directoryOf(number), chunk, start, chunk[start - 1]!) & mask;
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
      this.#slots[slot] = number;
    }
  }
}
