import { damaged } from '../refused.ts';
import { type Bytes, bitsAt, highestBit } from './bits.ts';

/** What symbols stand for: a number, to which so many bits that follow are added. */
export interface Meanings {
  readonly values: readonly number[];
  readonly extraBits: readonly number[];
}

const leastLog = 5;

const found = new Int16Array(256);
const nextStates = new Uint16Array(256);

/** A table of finite states (RFC 8878, 4.1): each stands for a symbol, and with so many bits that are read leads to the next one. */
export class FseTable {
  /**
   * Two numbers for each state. The first has in its lower half where the next states begin, above it of how many bits the
   * difference is, and in its highest byte how many bits are added to the value; the second is that value.
   */
  readonly cells: Int32Array;
  /** How many bits a state has. */
  log = 0;
  readonly #meanings: Meanings;
  readonly #logMax: number;

  constructor(meanings: Meanings, logMax: number) {
    this.#meanings = meanings;
    this.#logMax = logMax;
    this.cells = new Int32Array(2 << logMax);
  }

  /** Reads how often each symbol comes (4.1.1), from one byte on to another at most, and gives the byte after it. */
  read({ bytes, view }: Bytes, at: number, end: number): number {
    const log = (bytes[at]! & 15) + leastLog;
    if (log > this.#logMax) throw damaged('a table of states is too large');
    let bit = at * 8 + 4;
    let symbol = 0;
    for (let left = 1 << log; left > 0; ) {
      if (symbol >= this.#meanings.values.length) throw damaged('a table has a symbol that there is none');
      const width = highestBit(left + 1) + 1;
      const short = (1 << width) - 2 - left;
      let value = bitsAt(view, bit, width - 1);
      bit += width - 1;
      // Values that need no more are a bit shorter, and the longer ones go on where these end.
      if (value >= short) {
        value = bitsAt(view, bit - width + 1, width);
        if (value >= 1 << (width - 1)) value -= short;
        bit++;
      }
      const count = value - 1;
      found[symbol++] = count;
      left -= Math.abs(count);
      for (let repeat = count === 0 ? 3 : 0; repeat === 3; ) {
        repeat = bitsAt(view, bit, 2);
        bit += 2;
        if (symbol + repeat > this.#meanings.values.length) throw damaged('a table has a symbol that there is none');
        found.fill(0, symbol, symbol + repeat);
        symbol += repeat;
      }
      if (bit > end * 8) throw damaged('a table of states is cut off');
    }
    this.build(log, found.subarray(0, symbol));
    return (bit + 7) >> 3;
  }

  /** One symbol, over and over: a state without a bit. */
  repeat(symbol: number): void {
    if (symbol >= this.#meanings.values.length) throw damaged('a table has a symbol that there is none');
    this.log = 0;
    this.#set(0, symbol, 0, 0);
  }

  /** From how many of its 2^log states each symbol has; -1 is one that has less than a whole one (4.1.1). */
  build(log: number, counts: ArrayLike<number>): void {
    const size = 1 << log;
    const step = (size >> 1) + (size >> 3) + 3;
    this.log = log;
    let end = size;
    for (let symbol = 0; symbol < counts.length; symbol++) {
      nextStates[symbol] = Math.abs(counts[symbol]!);
      if (counts[symbol] === -1) this.cells[--end * 2] = symbol;
    }
    for (let symbol = 0, state = 0; symbol < counts.length; symbol++) {
      for (let i = 0; i < counts[symbol]!; i++) {
        this.cells[state * 2] = symbol;
        do state = (state + step) & (size - 1);
        while (state >= end);
      }
    }
    for (let state = 0; state < size; state++) {
      const symbol = this.cells[state * 2]!;
      const next = nextStates[symbol]!++;
      const bits = log - highestBit(next);
      this.#set(state, symbol, bits, (next << bits) - size);
    }
  }

  #set(state: number, symbol: number, bits: number, next: number): void {
    this.cells[state * 2] = next | (bits << 16) | (this.#meanings.extraBits[symbol]! << 24);
    this.cells[state * 2 + 1] = this.#meanings.values[symbol]!;
  }
}
