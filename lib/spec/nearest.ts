/** Number of single-character edits (insert, delete, replace, swap of neighbours) between two words, or `limit + 1`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(above[column]! + 1, current[column - 1]! + 1, above[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        cost = Math.min(cost, before[column - 2]! + 1);
      current.push(cost);
    }
    before = above;
    above = current;
  }
  return above[b.length]!;
}

/** Longer words come from an attacker or a mistake that no suggestion repairs. */
const wordMax = 64;

/** The word that was probably meant, or undefined where none is near; upper and lower case count as equal. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  if (word === '' || word.length > wordMax) return undefined;
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of words) {
    const cost = distance(wanted, candidate.toLowerCase(), least);
    if (cost < least) {
      best = candidate;
      least = cost;
    }
  }
  return best;
}

/** `; did you mean "command"?`, or nothing: the end of a message about an unknown word. */
export function didYouMean(word: string, words: readonly string[]): string {
  const meant = nearest(word, words);
  return meant === undefined ? '' : `; did you mean "${meant}"?`;
}
