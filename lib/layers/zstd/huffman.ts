import { damaged } from '../refused.ts';
import { type Bytes, bitsAt, highestBit, lastBit } from './bits.ts';
import { FseTable } from './fse.ts';

const logMax = 11;
const weightLogMax = 6;
const symbolsMax = 256;

/** Weights are written as symbols, which stand for themselves. */
const weightMeanings = {
  values: Array.from({ length: logMax + 1 }, (_, weight) => weight),
  extraBits: new Array<number>(logMax + 1).fill(0),
};

const weights = new Uint8Array(symbolsMax);
const places = new Uint16Array(logMax + 1);

/** A table of prefix codes (RFC 8878, 4.2), and the literals that are written in them. */
export class HuffmanTable {
  /** For whatever the next bits are, the symbol that they begin with, and above it how many of them are the symbol's. */
  readonly #cells = new Uint16Array(1 << logMax);
  readonly #weightTable = new FseTable(weightMeanings, weightLogMax);
  /** How many bits the longest code has; 0 where there is no table yet. */
  #log = 0;

  get isSet(): boolean {
    return this.#log > 0;
  }

  clear(): void {
    this.#log = 0;
  }

  /** Reads the weight of each symbol (4.2.1), from one byte on to another at most, and gives the byte after it. */
  read(input: Bytes, at: number, end: number): number {
    const header = input.bytes[at]!;
    const isListed = header >= 128;
    const start = at + 1;
    const count = header - 127;
    const stop = start + (isListed ? (count + 1) >> 1 : header);
    if (stop > end) throw damaged('the weights of symbols are cut off');
    if (!isListed) this.#build(this.#readWeights(input, start, stop));
    else {
      for (let i = 0; i < count; i++) weights[i] = (input.bytes[start + (i >> 1)]! >> (i & 1 ? 0 : 4)) & 15;
      this.#build(count);
    }
    return stop;
  }

  /** Two states take turns, until one of them would need bits that are not there. */
  #readWeights(input: Bytes, start: number, end: number): number {
    const { cells } = this.#weightTable;
    const first = this.#weightTable.read(input, start, end);
    const { log } = this.#weightTable;
    let bit = lastBit(input, first, end) - 2 * log;
    if (bit < first * 8) throw damaged('the weights of symbols are cut off');
    let state = bitsAt(input.view, bit + log, log);
    let other = bitsAt(input.view, bit, log);
    for (let count = 0; ; ) {
      if (count > symbolsMax - 3) throw damaged('there are weights for more symbols than there are');
      const cell = cells[state * 2]!;
      weights[count++] = cells[state * 2 + 1]!;
      const bits = (cell >> 16) & 0xff;
      bit -= bits;
      if (bit < first * 8) {
        weights[count++] = cells[other * 2 + 1]!;
        return count;
      }
      state = other;
      other = (cell & 0xffff) + bitsAt(input.view, bit, bits);
    }
  }

  /** From so many weights; that of the last symbol is what is missing to a power of two. */
  #build(count: number): void {
    places.fill(0);
    let sum = 0;
    for (let symbol = 0; symbol < count; symbol++) {
      const weight = weights[symbol]!;
      if (weight > logMax) throw damaged('a symbol has too large a weight');
      places[weight]!++;
      sum += (1 << weight) >> 1;
    }
    const log = highestBit(sum) + 1;
    const left = (1 << log) - sum;
    if (sum === 0 || log > logMax || (left & (left - 1)) !== 0) throw damaged('weights of symbols that make no code');
    weights[count] = highestBit(left) + 1;
    places[weights[count]!]!++;
    this.#log = log;
    this.#fill(count + 1);
  }

  /** Light symbols, whose codes are the long ones, first; of one weight in their order. */
  #fill(count: number): void {
    const cells = this.#cells;
    for (let weight = 1, place = 0; weight <= this.#log; weight++) {
      const width = places[weight]! << (weight - 1);
      places[weight] = place;
      place += width;
    }
    for (let symbol = 0; symbol < count; symbol++) {
      const weight = weights[symbol]!;
      if (weight === 0) continue;
      const cell = symbol | ((this.#log + 1 - weight) << 8);
      const stop = places[weight]! + (1 << (weight - 1));
      for (let place = places[weight]!; place < stop; place++) cells[place] = cell;
      places[weight] = stop;
    }
  }

  /** Decodes so many literals of one stream that fills a stretch of the input. */
  decode(input: Bytes, start: number, end: number, out: Buffer, count: number): void {
    this.#finish(input, start, lastBit(input, start, end), out, 0, count);
  }

  /** Of four streams, each of which has a quarter; where they begin is written before them (3.1.1.3.1.6). */
  decodeFour(input: Bytes, start: number, end: number, out: Buffer, count: number): void {
    const { view } = input;
    const cells = this.#cells;
    const log = this.#log;
    const startA = start + 6;
    const startB = startA + view.getUint16(start, true);
    const startC = startB + view.getUint16(start + 2, true);
    const startD = startC + view.getUint16(start + 4, true);
    const quarter = (count + 3) >> 2;
    if (startD >= end || 3 * quarter > count) throw damaged('four streams of literals are cut off');
    let bitA = lastBit(input, startA, startB);
    let bitB = lastBit(input, startB, startC);
    let bitC = lastBit(input, startC, startD);
    let bitD = lastBit(input, startD, end);
    let at = 0;
    // Together, for then the processor need not wait for what one of them reads. No stream is left by more than a symbol here.
    for (const stop = count - 3 * quarter; at < stop; at++) {
      if (bitA < startA * 8 || bitB < startB * 8 || bitC < startC * 8 || bitD < startD * 8) break;
      const a = cells[bitsAt(view, bitA - log, log)]!;
      const b = cells[bitsAt(view, bitB - log, log)]!;
      const c = cells[bitsAt(view, bitC - log, log)]!;
      const d = cells[bitsAt(view, bitD - log, log)]!;
      out[at] = a;
      out[at + quarter] = b;
      out[at + 2 * quarter] = c;
      out[at + 3 * quarter] = d;
      bitA -= a >> 8;
      bitB -= b >> 8;
      bitC -= c >> 8;
      bitD -= d >> 8;
    }
    this.#finish(input, startA, bitA, out, at, quarter);
    this.#finish(input, startB, bitB, out, at + quarter, 2 * quarter);
    this.#finish(input, startC, bitC, out, at + 2 * quarter, 3 * quarter);
    this.#finish(input, startD, bitD, out, at + 3 * quarter, count);
  }

  /** Goes on with one stream from a bit downwards, which has to end where its symbols do. */
  #finish({ view }: Bytes, start: number, from: number, out: Buffer, first: number, end: number): void {
    const cells = this.#cells;
    const log = this.#log;
    let bit = from;
    for (let at = first; at < end && bit >= start * 8; at++) {
      const cell = cells[bitsAt(view, bit - log, log)]!;
      out[at] = cell;
      bit -= cell >> 8;
    }
    if (bit !== start * 8) throw damaged('a stream of literals is longer or shorter than what is in it');
  }
}
