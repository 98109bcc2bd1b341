import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { pageReadsMax } from './limits.ts';
import { Refused } from './refused.ts';

/** Of which one is read for a single number: a larger one takes longer. */
export const pageBytes = 4096;

/** 4 MiB: about 50,000 directories, which few layers have. */
const framesMax = 1024;

/** Of a page that is not in memory. */
const nowhere = -1;

/**
 * Memory that takes no more than so much, whatever is kept in it: pages of zeros to begin with, with numbers from 1 on. What was
 * not looked at lately is written to a file, which has no name, and goes when this is closed.
 *
 * A page that is in memory is in a frame, which is a place in `bytes`, and in `numbers`. No page has an object of its own: there
 * would be so many that the garbage collector took them for a reason to want more memory.
 */
export class Pages {
  readonly bytes: Buffer;
  readonly numbers: Uint32Array;
  readonly #directory: string;
  /** Where each page is. */
  readonly #frames: number[] = [nowhere];
  /** What is in each frame, and of that: whether it was asked for since the hand came by, and is not as it is in the file. */
  readonly #pages: Uint32Array;
  readonly #used: Uint8Array;
  readonly #changed: Uint8Array;
  #framesTaken = 0;
  #hand = 0;
  #reads = 0;
  readonly #readsMax: number;
  /** Pages that were given back. */
  readonly #free: number[] = [];
  #fd: number | undefined;

  /** The file is made in the directory, once it is needed. */
  constructor(directory: string, { frames = framesMax, readsMax = pageReadsMax } = {}) {
    this.#readsMax = readsMax;
    // None of it is there before it is used.
    const memory = new ArrayBuffer(frames * pageBytes);
    this.bytes = Buffer.from(memory);
    this.numbers = new Uint32Array(memory);
    this.#directory = directory;
    this.#pages = new Uint32Array(frames);
    this.#used = new Uint8Array(frames);
    this.#changed = new Uint8Array(frames);
  }

  /** A new page. */
  make(): number {
    const page = this.#free.pop() ?? this.#frames.push(nowhere) - 1;
    const frame = this.#frames[page] === nowhere ? this.#frameFor(page) : this.#frames[page]!;
    this.bytes.fill(0, frame * pageBytes, (frame + 1) * pageBytes);
    this.#changed[frame] = 1;
    return page;
  }

  /** Nobody asks for it any more. */
  giveBack(page: number): void {
    const frame = this.#frames[page]!;
    if (frame !== nowhere) this.#changed[frame] = 0;
    this.#free.push(page);
  }

  /** The frame that a page is in, until another page is asked for. */
  read(page: number): number {
    const known = this.#frames[page]!;
    const frame = known === nowhere ? this.#fetch(page) : known;
    this.#used[frame] = 1;
    return frame;
  }

  /** The same, of a page that is going to be changed. */
  change(page: number): number {
    const frame = this.read(page);
    this.#changed[frame] = 1;
    return frame;
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #fetch(page: number): number {
    if (++this.#reads > this.#readsMax)
      throw new Refused('its names are in an order in which it takes too long to find them');
    const frame = this.#frameFor(page);
    const read = readSync(this.#fd!, this.bytes, frame * pageBytes, pageBytes, page * pageBytes);
    if (read < pageBytes) throw new Error('what was written to a file is not there any more');
    return frame;
  }

  /** Whatever is in it. */
  #frameFor(page: number): number {
    const frame = this.#framesTaken < this.#pages.length ? this.#framesTaken++ : this.#evicted();
    this.#pages[frame] = page;
    this.#frames[page] = frame;
    return frame;
  }

  /** One whose page was not asked for since the hand came by the last time. */
  #evicted(): number {
    while (this.#used[this.#hand] === 1) {
      this.#used[this.#hand] = 0;
      this.#hand = (this.#hand + 1) % this.#pages.length;
    }
    const frame = this.#hand;
    const page = this.#pages[frame]!;
    if (this.#changed[frame] === 1) this.#write(frame, page);
    this.#frames[page] = nowhere;
    return frame;
  }

  #write(frame: number, page: number): void {
    this.#fd ??= unnamedFile(this.#directory);
    for (let at = 0; at < pageBytes; ) {
      at += writeSync(this.#fd, this.bytes, frame * pageBytes + at, pageBytes - at, page * pageBytes + at);
    }
    this.#changed[frame] = 0;
  }
}

function unnamedFile(directory: string): number {
  const path = `${directory}/pages-${randomBytes(6).toString('hex')}`;
  const fd = openSync(path, 'wx+', 0o600);
  try {
    unlinkSync(path);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
