import { and, branch, load, type Node, offsets, returns } from './bpf.ts';
import type { Condition, Operator } from './profile.ts';
import { type Range, search } from './ranges.ts';

/** What a system call returns to the kernel when every condition holds. */
export interface Alternative {
  readonly conditions: readonly Condition[];
  readonly value: number;
}

/**
 * Decides a system call by its arguments: the first alternative whose conditions all hold gives the return value, else
 * it is `otherwise`. Where `wide` is false, conditions are about the low 32 bits.
 */
export function decide(alternatives: readonly Alternative[], otherwise: number, wide: boolean): Node {
  const index = soleArgument(alternatives);
  if (index === undefined) return decideInTurn(alternatives, otherwise, wide);
  // The usual list of allowed values: one search, however long it is.
  const comparisons = alternatives.map(({ conditions }) => comparisonOf(conditions[0]!, wide));
  const first = (at: bigint) => {
    const found = comparisons.findIndex((comparison) => holds(comparison, at));
    return found === -1 ? otherwise : alternatives[found]!.value;
  };
  return searchArgument(index, pieces(comparisons, first), wide, returns);
}

function decideInTurn(alternatives: readonly Alternative[], otherwise: number, wide: boolean): Node {
  let next: Node = returns(otherwise);
  for (const { conditions, value } of [...alternatives].reverse()) {
    let node: Node = returns(value);
    for (const condition of [...conditions].reverse()) node = test(condition, wide, node, next);
    next = node;
  }
  return next;
}

/** The argument that all alternatives are about, if each has one condition and that is a comparison. */
function soleArgument(alternatives: readonly Alternative[]): number | undefined {
  const index = alternatives[0]?.conditions[0]?.index;
  const comparesIt = ({ conditions }: Alternative) =>
    conditions.length === 1 && conditions[0]!.index === index && conditions[0]!.op !== 'SCMP_CMP_MASKED_EQ';
  return alternatives.every(comparesIt) ? index : undefined;
}

function test(condition: Condition, wide: boolean, yes: Node, no: Node): Node {
  if (condition.op === 'SCMP_CMP_MASKED_EQ') return testMasked(condition, wide, yes, no);
  const comparison = comparisonOf(condition, wide);
  const leaf = (value: boolean) => (value ? yes : no);
  return searchArgument(
    condition.index,
    pieces([comparison], (at) => holds(comparison, at)),
    wide,
    leaf,
  );
}

function testMasked({ index, value, valueTwo }: Condition, wide: boolean, yes: Node, no: Node): Node {
  const mask = BigInt(value);
  // As libseccomp: bits to compare with outside the mask do not count.
  const wanted = BigInt(valueTwo ?? 0) & mask;
  const lowTested = testMaskedWord(offsets.argumentLow(index), low(mask), low(wanted), yes, no);
  if (!wide) return lowTested;
  return testMaskedWord(offsets.argumentHigh(index), high(mask), high(wanted), lowTested, no);
}

function testMaskedWord(offset: number, mask: number, wanted: number, yes: Node, no: Node): Node {
  if (mask === 0) return yes;
  if (wanted === 0) return load(offset, branch('set', mask, no, yes));
  const equal = branch('eq', wanted, yes, no);
  return load(offset, mask === 0xffffffff ? equal : and(mask, equal));
}

/** A part of a function over an argument's values, from `from` up to the next piece. */
interface Piece<T> {
  readonly from: bigint;
  readonly value: T;
}

interface Comparison {
  readonly op: Operator;
  readonly value: bigint;
  /** The value after it, if there is one. */
  readonly next?: bigint | undefined;
}

function comparisonOf({ op, value }: Condition, wide: boolean): Comparison {
  const exact = wide ? BigInt(value) : BigInt.asUintN(32, BigInt(value));
  const last = wide ? 0xffffffffffffffffn : 0xffffffffn;
  return { op, value: exact, next: exact === last ? undefined : exact + 1n };
}

function holds({ op, value }: Comparison, at: bigint): boolean {
  switch (op) {
    case 'SCMP_CMP_NE':
      return at !== value;
    case 'SCMP_CMP_LT':
      return at < value;
    case 'SCMP_CMP_LE':
      return at <= value;
    case 'SCMP_CMP_GE':
      return at >= value;
    case 'SCMP_CMP_GT':
      return at > value;
    default:
      return at === value;
  }
}

/** Cuts the values where a comparison's outcome may change: at its value, and after it. */
function pieces<T>(comparisons: readonly Comparison[], valueAt: (at: bigint) => T): Piece<T>[] {
  const edges = [0n];
  for (const { value, next } of comparisons) {
    edges.push(value);
    if (next !== undefined) edges.push(next);
  }
  const result: Piece<T>[] = [];
  for (const from of edges.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))) {
    const value = valueAt(from);
    // An edge that occurs twice gives the same value twice.
    if (result.length === 0 || result[result.length - 1]!.value !== value) result.push({ from, value });
  }
  return result;
}

function searchArgument<T>(index: number, all: readonly Piece<T>[], wide: boolean, leaf: (value: T) => Node): Node {
  const searchLow = (some: readonly Piece<T>[]): Node => {
    const ranges = some.map(({ from, value }) => ({ from: low(from), value, weight: 1 }));
    return load(offsets.argumentLow(index), search(ranges, leaf));
  };
  if (all.length === 1) return leaf(all[0]!.value);
  if (!wide) return searchLow(all);
  const byHigh = search(highRanges(all), (some) => (some.length === 1 ? leaf(some[0]!.value) : searchLow(some)));
  return load(offsets.argumentHigh(index), byHigh);
}

/** Groups pieces by the high word: where one piece covers all low words, the group is that piece alone. */
function highRanges<T>(all: readonly Piece<T>[]): Range<readonly Piece<T>[]>[] {
  const ranges: Range<readonly Piece<T>[]>[] = [];
  let i = 0;
  while (i < all.length) {
    const word = high(all[i]!.from);
    const some: Piece<T>[] = [];
    if (low(all[i]!.from) !== 0) some.push({ from: 0n, value: all[i - 1]!.value });
    while (i < all.length && high(all[i]!.from) === word) some.push(all[i++]!);
    ranges.push({ from: word, value: some, weight: 1 });
    const rest = some[some.length - 1]!;
    const follows = i < all.length ? high(all[i]!.from) : 0x100000000;
    if (some.length > 1 && word + 1 < follows) ranges.push({ from: word + 1, value: [rest], weight: 1 });
  }
  return ranges;
}

function low(value: bigint): number {
  return Number(value & 0xffffffffn);
}

function high(value: bigint): number {
  return Number(value >> 32n);
}
