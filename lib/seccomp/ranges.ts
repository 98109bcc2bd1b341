import { alike, branch, type Node } from './bpf.ts';

/** Part of a function over 32-bit words that is constant on pieces: from `from` up to the next range. */
export interface Range<T> {
  readonly from: number;
  readonly value: T;
  /** How much a short way to it is worth, relative to its neighbours. */
  readonly weight: number;
}

/** Decides by a binary search, balanced by weight, which range the accumulator is in; the first is from 0. */
export function search<T>(ranges: readonly Range<T>[], leaf: (value: T) => Node): Node {
  const weightBefore = [0];
  for (const range of ranges) weightBefore.push(weightBefore[weightBefore.length - 1]! + range.weight);
  const leaves = ranges.map((range) => leaf(range.value));
  return searchBetween({ ranges, leaves, weightBefore }, 0, ranges.length);
}

interface Search<T> {
  readonly ranges: readonly Range<T>[];
  readonly leaves: readonly Node[];
  readonly weightBefore: readonly number[];
}

function searchBetween<T>(all: Search<T>, begin: number, end: number): Node {
  const { ranges, leaves } = all;
  if (end - begin === 1) return leaves[begin]!;
  const lone = end - begin === 3 && alike(leaves[begin]!, leaves[end - 1]!);
  if (lone && ranges[end - 1]!.from - ranges[begin + 1]!.from === 1) {
    // One word amid others that are alike: the commonest leaf of a list of system calls, for one comparison.
    return branch('eq', ranges[begin + 1]!.from, leaves[begin + 1]!, leaves[begin]!);
  }
  const middle = split(all.weightBefore, begin, end);
  return branch('ge', ranges[middle]!.from, searchBetween(all, middle, end), searchBetween(all, begin, middle));
}

/** Where the weight on both sides differs least. */
function split(weightBefore: readonly number[], begin: number, end: number): number {
  const doubled = weightBefore[begin]! + weightBefore[end]!;
  let best = begin + 1;
  for (let at = begin + 2; at < end; at++) {
    if (Math.abs(2 * weightBefore[at]! - doubled) < Math.abs(2 * weightBefore[best]! - doubled)) best = at;
  }
  return best;
}
