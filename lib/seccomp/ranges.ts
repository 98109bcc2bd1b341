import { alike, branch, type Node } from './bpf.ts';

/** Part of a function over 32-bit words that is constant on pieces: from `from` up to the next range. */
export interface Range<T> {
  readonly from: number;
  readonly value: T;
  /** How much a short way to it is worth, relative to its neighbours. */
  readonly weight: number;
}

/** What is decided for each number from 0, as ranges that weigh as much as they have numbers. */
export function rangesFrom(nodes: readonly Node[]): Range<Node>[] {
  const ranges: { readonly from: number; readonly value: Node; weight: number }[] = [];
  for (const [from, value] of nodes.entries()) {
    const last = ranges[ranges.length - 1];
    if (last !== undefined && alike(last.value, value)) last.weight++;
    else ranges.push({ from, value, weight: 1 });
  }
  return ranges;
}

/** Decides by a binary search, balanced by weight, which range the accumulator is in; the first is from 0. */
export function search<T>(ranges: readonly Range<T>[], leaf: (value: T) => Node): Node {
  return halve(ranges.map(({ from, value, weight }) => ({ from, weight, node: leaf(value) })));
}

interface Leaf {
  readonly from: number;
  readonly weight: number;
  readonly node: Node;
}

/**
 * So few ranges are asked for one after the other: it takes hardly more comparisons than to halve them, and each but the
 * last goes on at the next instruction for one outcome. One that does so for neither costs the kernel two.
 */
const inTurnMax = 6;

function halve(leaves: readonly Leaf[]): Node {
  if (leaves.length <= inTurnMax) return askInTurn(leaves);
  const middle = split(leaves);
  return branch('ge', leaves[middle]!.from, halve(leaves.slice(middle)), halve(leaves.slice(0, middle)));
}

/** Lone numbers amid ranges that are alike first, since one comparison joins these; then from the heavier end. */
function askInTurn(leaves: readonly Leaf[]): Node {
  const [first, second] = leaves as readonly [Leaf, Leaf?];
  if (second === undefined) return first.node;
  const lone = leaves.findIndex((_, i) => isLone(leaves, i));
  if (lone !== -1) {
    const { from, node } = leaves[lone]!;
    return branch('eq', from, node, askInTurn([...leaves.slice(0, lone), ...leaves.slice(lone + 2)]));
  }
  const last = leaves[leaves.length - 1]!;
  if (last.weight >= first.weight) return branch('ge', last.from, last.node, askInTurn(leaves.slice(0, -1)));
  return branch('ge', second.from, askInTurn(leaves.slice(1)), first.node);
}

/** One word amid others that are alike: the commonest in a list of system calls. */
function isLone(leaves: readonly Leaf[], i: number): boolean {
  const [before, after] = [leaves[i - 1], leaves[i + 1]];
  if (before === undefined || after === undefined) return false;
  return after.from - leaves[i]!.from === 1 && alike(before.node, after.node);
}

/** Where the weight on both sides differs least. */
function split(leaves: readonly Leaf[]): number {
  const all = leaves.reduce((sum, { weight }) => sum + weight, 0);
  let best = 1;
  let least = Number.POSITIVE_INFINITY;
  let before = 0;
  for (let at = 1; at < leaves.length; at++) {
    before += leaves[at - 1]!.weight;
    const difference = Math.abs(2 * before - all);
    if (difference >= least) break;
    least = difference;
    best = at;
  }
  return best;
}
