import { damaged } from '../refused.ts';
import { type Bytes, bitsAt, lastBit } from './bits.ts';
import { FseTable, type Meanings } from './fse.ts';
import type { Literals } from './literals.ts';
import type { Window } from './window.ts';

/** So many symbols that stand for themselves, or as much more as is said, and others for stretches behind one another. */
function meanings(plain: number, least: number, extraBits: readonly number[]): Meanings {
  const values = Array.from({ length: plain }, (_, symbol) => least + symbol);
  let next = least + plain;
  for (const bits of extraBits) {
    values.push(next);
    next += 1 << bits;
  }
  return { values, extraBits: [...new Array<number>(plain).fill(0), ...extraBits] };
}

const literalLengths = meanings(16, 0, [1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
const matchLengths = meanings(32, 3, [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
/** Those of 26 bits and more are further back than any window; that too few bits are read of them makes no difference. */
const offsets = meanings(0, 1, [...new Array(29).keys()]);

const times = (count: number, value: number): number[] => new Array<number>(count).fill(value);

/** What symbols stand for; the distribution that is known beforehand, and of how many states (RFC 8878, 3.1.1.3.2.2); how many there may be. */
const kinds = {
  literalLengths: [
    literalLengths,
    [4, 3, ...times(11, 2), 1, 1, 1, ...times(9, 2), 3, 2, ...times(5, 1), ...times(4, -1)],
    6,
    9,
  ],
  offsets: [offsets, [...times(6, 1), 2, 2, 2, ...times(15, 1), ...times(5, -1)], 5, 8],
  matchLengths: [matchLengths, [1, 4, 3, ...times(6, 2), ...times(37, 1), ...times(7, -1)], 6, 9],
} as const;

/** The table of one kind: the one that is known beforehand, or what was read last. */
class Table {
  readonly #known: FseTable;
  readonly #read: FseTable;
  #current: FseTable | undefined;

  constructor([meanings, counts, log, logMax]: (typeof kinds)[keyof typeof kinds]) {
    this.#known = new FseTable(meanings, log);
    this.#known.build(log, counts);
    this.#read = new FseTable(meanings, logMax);
  }

  get current(): FseTable {
    if (this.#current === undefined) throw damaged('a table is to be used again, of which there is none');
    return this.#current;
  }

  clear(): void {
    this.#current = undefined;
  }

  /** Takes it by its mode (3.1.1.3.2.1.1), and gives the byte after what is read of it. */
  choose(mode: number, input: Bytes, at: number, end: number): number {
    if (mode === 3) return at;
    this.#current = mode === 0 ? this.#known : this.#read;
    if (mode === 2) return this.#read.read(input, at, end);
    if (mode === 0) return at;
    if (at >= end) throw damaged('a table is cut off');
    this.#read.repeat(input.bytes[at]!);
    return at + 1;
  }
}

/** What a block is made of (RFC 8878, 3.1.1.3.2): so many literals and then a match, again and again. */
export class Sequences {
  readonly #literalLengths = new Table(kinds.literalLengths);
  readonly #offsets = new Table(kinds.offsets);
  readonly #matchLengths = new Table(kinds.matchLengths);
  /** The last three offsets (3.1.1.5). */
  #first = 1;
  #second = 4;
  #third = 8;

  /** Of a new frame, which has nothing of what was in the one before. */
  reset(): void {
    for (const table of [this.#literalLengths, this.#offsets, this.#matchLengths]) table.clear();
    this.#first = 1;
    this.#second = 4;
    this.#third = 8;
  }

  /** Carries out the section that lies from one byte to another. */
  execute(input: Bytes, start: number, end: number, literals: Literals, window: Window): void {
    let at = start;
    let count = input.bytes[at++]!;
    if (count === 255) {
      count = input.view.getUint16(at, true) + 0x7f00;
      at += 2;
    } else if (count >= 128) count = ((count - 128) << 8) + input.bytes[at++]!;
    const taken = count === 0 ? 0 : this.#execute(input, at, end, count, literals, window);
    if (count === 0 && at !== end) throw damaged('a block goes on after its end');
    window.put(literals.place, taken, literals.count - taken);
  }

  /** Gives how many literals were taken. */
  #execute(input: Bytes, start: number, end: number, count: number, literals: Literals, window: Window): number {
    const modes = input.bytes[start]!;
    if ((modes & 3) !== 0) throw damaged('a reserved bit is set');
    let at = this.#literalLengths.choose(modes >> 6, input, start + 1, end);
    at = this.#offsets.choose((modes >> 4) & 3, input, at, end);
    at = this.#matchLengths.choose((modes >> 2) & 3, input, at, end);
    const { view } = input;
    const { cells: literalCells, log: literalLog } = this.#literalLengths.current;
    const { cells: offsetCells, log: offsetLog } = this.#offsets.current;
    const { cells: matchCells, log: matchLog } = this.#matchLengths.current;
    let bit = lastBit(input, at, end);
    bit -= literalLog;
    let literalState = bitsAt(view, bit, literalLog);
    bit -= offsetLog;
    let offsetState = bitsAt(view, bit, offsetLog);
    bit -= matchLog;
    let matchState = bitsAt(view, bit, matchLog);
    let taken = 0;
    for (let left = count; ; left--) {
      const offsetCell = offsetCells[offsetState * 2]!;
      const matchCell = matchCells[matchState * 2]!;
      const literalCell = literalCells[literalState * 2]!;
      bit -= offsetCell >> 24;
      const distance = offsetCells[offsetState * 2 + 1]! + bitsAt(view, bit, offsetCell >> 24);
      bit -= matchCell >> 24;
      const matchLength = matchCells[matchState * 2 + 1]! + bitsAt(view, bit, matchCell >> 24);
      bit -= literalCell >> 24;
      const literalLength = literalCells[literalState * 2 + 1]! + bitsAt(view, bit, literalCell >> 24);
      if (left > 1) {
        const literalBits = (literalCell >> 16) & 0xff;
        bit -= literalBits;
        literalState = (literalCell & 0xffff) + bitsAt(view, bit, literalBits);
        const matchBits = (matchCell >> 16) & 0xff;
        bit -= matchBits;
        matchState = (matchCell & 0xffff) + bitsAt(view, bit, matchBits);
        const offsetBits = (offsetCell >> 16) & 0xff;
        bit -= offsetBits;
        offsetState = (offsetCell & 0xffff) + bitsAt(view, bit, offsetBits);
      }
      if (bit < at * 8) throw damaged('sequences are cut off');
      const offset = distance > 3 ? this.#newOffset(distance - 3) : this.#oldOffset(distance, literalLength);
      if (taken + literalLength > literals.count) throw damaged('sequences want more literals than there are');
      window.sequence(literals.place.view, taken, literalLength, offset, matchLength);
      taken += literalLength;
      if (left === 1) break;
    }
    if (bit !== at * 8) throw damaged('there is more than sequences');
    return taken;
  }

  #newOffset(offset: number): number {
    this.#third = this.#second;
    this.#second = this.#first;
    this.#first = offset;
    return offset;
  }

  /** One of the last three, by its number; without literals, by the number after it, and the last of these is one less than the first. */
  #oldOffset(number: number, literalLength: number): number {
    const which = literalLength === 0 ? number + 1 : number;
    if (which === 1) return this.#first;
    const offset = which === 2 ? this.#second : which === 3 ? this.#third : this.#first - 1;
    if (offset === 0) throw damaged('a match with itself');
    if (which !== 2) this.#third = this.#second;
    this.#second = this.#first;
    this.#first = offset;
    return offset;
  }
}
