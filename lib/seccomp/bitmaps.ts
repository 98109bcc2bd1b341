import { alike, and, branch, immediate, load, type Node, offsets, remember, shift } from './bpf.ts';
import { type Range, rangesFrom } from './ranges.ts';

/**
 * Replaces comparisons by a bit for each number of a word's 32, wherever that takes fewer instructions: a table of system
 * calls is full of lone ones, and the longer a filter is, the longer the kernel takes to translate it, for every container
 * anew. Gives nothing if the filter would not get shorter.
 *
 * @param ranges What is to be searched. It may lead to the search of another ABI, where that decides alike.
 * @param known The same without such leads: what is decided in the end.
 * @param end Numbers from here on, a multiple of 32, stay as they are.
 */
export function withBitmaps(
  ranges: readonly Range<Node>[],
  known: readonly Range<Node>[],
  end: number,
): Range<Node>[] | undefined {
  const outcomes = commonest(known);
  if (outcomes === undefined) return undefined;
  const nodes: Node[] = [];
  let spared = 0;
  for (let from = 0; from < end; from += wordBits) {
    const compared = expand(ranges, from);
    const mapped = mapWord(compared, expand(known, from), outcomes);
    const gain = comparisons(compared) - comparisons(mapped) - instructionsPerWord;
    spared += Math.max(gain, 0);
    nodes.push(...(gain > 0 ? mapped : compared));
  }
  if (spared <= instructionsOnce) return undefined;
  const [last, ...beyond] = ranges.slice(placeOf(ranges, end)) as [Range<Node>, ...Range<Node>[]];
  return [...rangesFrom(nodes), { ...last, from: end }, ...beyond];
}

/** Loads the number, and has the bitmaps know which of a word's bits is its own. */
export const loadWithBit = (next: Node): Node =>
  load(offsets.number, and(wordBits - 1, remember(load(offsets.number, next))));

const wordBits = 32;

/** To load the word, and to go on where its bit is tested. */
const instructionsPerWord = 2;

/** To know the bit, and to test it. */
const instructionsOnce = 5;

interface Outcomes {
  readonly yes: Node;
  readonly no: Node;
  /** Decides between them by the word in the accumulator. */
  readonly tested: Node;
}

/** What is decided for most ranges without a look at arguments, which is to allow and to forbid. */
function commonest(ranges: readonly Range<Node>[]): Outcomes | undefined {
  const counts = new Map<number, { readonly node: Node; count: number }>();
  for (const { value: node } of ranges) {
    if (node.kind !== 'return') continue;
    const known = counts.get(node.value);
    if (known === undefined) counts.set(node.value, { node, count: 1 });
    else known.count++;
  }
  const [yes, no] = [...counts.values()].sort((a, b) => b.count - a.count);
  if (yes === undefined || no === undefined) return undefined;
  return { yes: yes.node, no: no.node, tested: shift(branch('set', 1, yes.node, no.node)) };
}

/** What is done for each number of a word. */
function expand(ranges: readonly Range<Node>[], from: number): Node[] {
  let at = placeOf(ranges, from);
  return Array.from({ length: wordBits }, (_, bit) => {
    if (ranges[at + 1] !== undefined && ranges[at + 1]!.from <= from + bit) at++;
    return ranges[at]!.value;
  });
}

/** Which range a number is in. */
function placeOf(ranges: readonly Range<Node>[], number: number): number {
  let at = ranges.length - 1;
  while (ranges[at]!.from > number) at--;
  return at;
}

/** The word as bits; numbers for which there is more to do than one of the two outcomes stay as they are. */
function mapWord(compared: readonly Node[], known: readonly Node[], { yes, no, tested }: Outcomes): Node[] {
  const bits = known.reduce((word, node, bit) => (alike(node, yes) ? word | (1 << bit) : word), 0);
  const mapped = immediate(bits >>> 0, tested);
  return known.map((node, bit) => (alike(node, yes) || alike(node, no) ? mapped : compared[bit]!));
}

/** How many comparisons tell apart what is done: one for each change, and one for a lone number amid others that are alike. */
function comparisons(nodes: readonly Node[]): number {
  const ranges = rangesFrom(nodes);
  let count = ranges.length - 1;
  for (let i = 1; i + 1 < ranges.length; i++) {
    if (ranges[i]!.weight === 1 && alike(ranges[i - 1]!.value, ranges[i + 1]!.value)) {
      count--;
      i++;
    }
  }
  return count;
}
