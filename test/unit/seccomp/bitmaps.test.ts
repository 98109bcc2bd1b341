import fc from 'fast-check';
import { expect, test } from 'vitest';
import { loadWithBit, withBitmaps } from '../../../lib/seccomp/bitmaps.ts';
import { assemble, load, type Node, offsets, returns } from '../../../lib/seccomp/bpf.ts';
import { type Range, rangesFrom, search } from '../../../lib/seccomp/ranges.ts';
import { simulate } from '../../support/bpf.ts';

const itself = (node: Node) => node;
const end = 128;

/** Ranges over 160 numbers, of which the first 128 may become bits. */
const ranges = (values: readonly number[]): Range<Node>[] =>
  rangesFrom(Array.from({ length: 160 }, (_, i) => returns(values[i % values.length]!)));

const everySecond = ranges([1, 2]);

test('decides each number as the ranges do, whatever they are', () => {
  // Two outcomes are common, as in a profile.
  const value = fc.oneof({ weight: 20, arbitrary: fc.nat(1) }, fc.nat(4));
  const values = fc.array(value, { minLength: 1, maxLength: 160 });
  let mapped = 0;
  fc.assert(
    fc.property(values, (all) => {
      const some = ranges(all);
      const bits = withBitmaps(some, some, end);
      if (bits === undefined) return;
      mapped++;
      const filter = assemble(loadWithBit(search(bits, itself)));
      for (const nr of Array.from({ length: 200 }, (_, i) => i)) {
        expect(simulate(filter, { arch: 0, nr })).toBe(all[Math.min(nr, 159) % all.length]);
      }
    }),
    { seed: 1, numRuns: 200 },
  );
  expect(mapped).toBeGreaterThan(50);
});

test('takes three instructions for each word, with the comparison that finds it', () => {
  const some = everySecond.slice(0, end);
  const filter = assemble(loadWithBit(search(withBitmaps(some, some, end)!, itself)));
  expect(filter.length / 8).toBeLessThanOrEqual(4 + 3 * 4 + 2 + 2);
});

test('gives nothing where it would not be shorter', () => {
  const one = [{ from: 0, value: returns(1), weight: 1 }];
  const few = [...one, { from: 9, value: returns(2), weight: 1 }, { from: 70, value: returns(1), weight: 1 }];
  expect(withBitmaps(one, one, end)).toBeUndefined();
  expect(withBitmaps(few, few, end)).toBeUndefined();
});

test('a number that takes a look at its arguments is asked about by itself', () => {
  const argued = load(offsets.argumentLow(0), returns(7));
  const some = everySecond.map((range) => (range.from === 40 ? { ...range, value: argued } : range));
  const filter = assemble(loadWithBit(search(withBitmaps(some, some, end)!, itself)));
  expect([39, 40, 41].map((nr) => simulate(filter, { arch: 0, nr }))).toEqual([2, 7, 2]);
});

test('where the ranges lead to another search, the bits are those of what is decided in the end', () => {
  const other = search(everySecond, itself);
  const leading = everySecond.map((range) => (range.from % 3 === 0 ? { ...range, value: other } : range));
  const filter = assemble(loadWithBit(search(withBitmaps(leading, everySecond, end)!, itself)));
  for (let nr = 0; nr < 160; nr++) expect(simulate(filter, { arch: 0, nr })).toBe(1 + (nr % 2));
});
