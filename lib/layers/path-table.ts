import { randomFillSync } from 'node:crypto';
import { componentBytesMax, pathsMax } from './limits.ts';
import { NumberRows } from './number-rows.ts';
import { type Pages, pageBytes } from './pages.ts';
import { Refused } from './refused.ts';

export const rootPath = 0;
/** What `find` says of a path that has no number. */
export const noPath = -1;

const columns = { directory: 0, name: 1 } as const;
/** Of the table of hashes; a hash is there so that a path is only looked at where it is likely to be the one. */
const slots = { path: 0, hash: 1 } as const;
const slotsMin = 1024;
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
  readonly #memory: Pages;
  readonly #rows: NumberRows;
  /** Names, each after a byte that is its length; none is in two pages. */
  readonly #names: number[] = [];
  #end = pageBytes;
  #size = 1;
  /** Open-addressed: numbers of paths, and 0, which is in no directory, where there is none. */
  #slots: NumberRows;
  #slotCount = slotsMin;
  /** The path that is looked up, and where its directories end and what their numbers are: the next one is near it as a rule. */
  #path = Buffer.alloc(pageBytes);
  #length = 0;
  readonly #way: { readonly number: number; readonly end: number }[] = [];
  readonly #words: Uint32Array;

  constructor(memory: Pages) {
    this.#memory = memory;
    this.#rows = new NumberRows(memory, Object.keys(columns).length);
    this.#slots = new NumberRows(memory, Object.keys(slots).length);
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
      const start = this.#nameOf(at);
      names.push(this.#memory.bytes.toString('latin1', start, start + this.#memory.bytes[start - 1]!));
    }
    return names.reverse().join('/');
  }

  #walk(path: string, makes: boolean): { readonly number: number; readonly length: number } {
    this.#turnTo(path);
    let { number, end: length } = this.#way.at(-1) ?? { number: rootPath, end: 0 };
    while (length < path.length) {
      const start = length === 0 ? 0 : length + 1;
      let end = start;
      while (end < path.length && this.#path[end] !== slash) end++;
      const hash = this.#hash(number, start, end - start);
      const slot = this.#slot(hash, number, start, end - start);
      const found = this.#slots.get(slot, slots.path);
      if (found === 0 && !makes) return { number, length };
      number = found || this.#make(slot, hash, number, start, end - start);
      length = end;
      this.#way.push({ number, end });
    }
    return { number, length };
  }

  /** Leaves of the way what leads to this path, too. */
  #turnTo(path: string): void {
    const most = Math.min(path.length, this.#length);
    let same = 0;
    while (same < most && path.charCodeAt(same) === this.#path[same]) same++;
    const leads = (end: number) => end < same || (end === same && (end === path.length || path[end] === '/'));
    while (this.#way.length > 0 && !leads(this.#way.at(-1)!.end)) this.#way.pop();
    if (path.length > this.#path.length) this.#path = Buffer.alloc(path.length);
    this.#path.write(path, 'latin1');
    this.#length = path.length;
  }

  /** Where the number of a name in a directory is, or would be; the name is in the path that is looked up. */
  #slot(hash: number, directory: number, start: number, length: number): number {
    const mask = this.#slotCount - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const number = this.#slots.get(slot, slots.path);
      if (number === 0) return slot;
      if (this.#slots.get(slot, slots.hash) !== hash) continue;
      if (this.directoryOf(number) === directory && this.#isNamed(number, start, length)) return slot;
    }
  }

  #hash(directory: number, start: number, length: number): number {
    let hash = Math.imul(directory, this.#words[0]! | 1);
    for (let i = 0; i < length; i++) hash ^= this.#words[((i + 1) << 8) | this.#path[start + i]!]!;
    return hash >>> 0;
  }

  #isNamed(number: number, start: number, length: number): boolean {
    const { bytes } = this.#memory;
    const at = this.#nameOf(number);
    if (bytes[at - 1] !== length) return false;
    let i = 0;
    while (i < length && bytes[at + i] === this.#path[start + i]) i++;
    return i === length;
  }

  /** Where in memory it is, until something else is looked at. */
  #nameOf(number: number): number {
    const place = this.#rows.get(number, columns.name);
    const frame = this.#memory.read(this.#names[Math.floor(place / pageBytes)]!);
    return frame * pageBytes + (place % pageBytes) + 1;
  }

  #make(slot: number, hash: number, directory: number, start: number, length: number): number {
    // Of an archive's own names `pathComponents` has made sure; links of lower layers may lead to others.
    if (length > componentBytesMax) throw new Refused(`a part of the path that it leads to has ${length} bytes`);
    if (this.#size >= pathsMax) throw new Refused(`it has more than ${pathsMax} directories and links`);
    if (this.#end + length + 1 > pageBytes) {
      this.#names.push(this.#memory.make());
      this.#end = 0;
    }
    const at = this.#memory.change(this.#names.at(-1)!) * pageBytes + this.#end;
    this.#memory.bytes[at] = length;
    this.#path.copy(this.#memory.bytes, at + 1, start, start + length);
    const number = this.#size++;
    this.#rows.set(number, columns.directory, directory);
    this.#rows.set(number, columns.name, (this.#names.length - 1) * pageBytes + this.#end);
    this.#end += length + 1;
    this.#put(slot, number, hash);
    if (this.#size * 4 > this.#slotCount * 3) this.#grow();
    return number;
  }

  #put(slot: number, path: number, hash: number): void {
    this.#slots.set(slot, slots.path, path);
    this.#slots.set(slot, slots.hash, hash);
  }

  /** From one end to the other, so that few pages are wanted at a time. */
  #grow(): void {
    const before = this.#slots;
    const mask = this.#slotCount * 2 - 1;
    this.#slots = new NumberRows(this.#memory, Object.keys(slots).length);
    for (let row = 0; row < this.#slotCount; row++) {
      const path = before.get(row, slots.path);
      if (path === 0) continue;
      const hash = before.get(row, slots.hash);
      let slot = hash & mask;
      while (this.#slots.get(slot, slots.path) !== 0) slot = (slot + 1) & mask;
      this.#put(slot, path, hash);
    }
    this.#slotCount *= 2;
    before.clear();
  }
}
