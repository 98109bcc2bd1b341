import fc from 'fast-check';
import { expect, test } from 'vitest';
import { assemble, load, returns } from '../../../lib/seccomp/bpf.ts';
import { search } from '../../../lib/seccomp/ranges.ts';
import { run, simulate } from '../../support/bpf.ts';

test('finds the range that a number is in, whatever the ranges and their weights', () => {
  const range = fc.record({
    from: fc.nat(0xffffffff),
    value: fc.nat(5),
    weight: fc.double({ min: 0, max: 9, noNaN: true }),
  });
  const all = fc.uniqueArray(range, { maxLength: 40, selector: (r) => r.from });
  fc.assert(
    fc.property(all, fc.array(fc.nat(0xffffffff)), (some, numbers) => {
      const ranges = [{ from: 0, value: 9, weight: 1 }, ...some.filter((r) => r.from > 0)].sort(
        (a, b) => a.from - b.from,
      );
      const filter = assemble(load(0, search(ranges, returns)));
      for (const nr of [...numbers, ...ranges.flatMap(({ from }) => [from, from + 1, Math.max(0, from - 1)])]) {
        if (nr > 0xffffffff) continue;
        const expected = [...ranges].reverse().find(({ from }) => from <= nr)!.value;
        expect(simulate(filter, { arch: 0, nr })).toBe(expected);
      }
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('takes about as many comparisons as the logarithm of the number of ranges', () => {
  const ranges = Array.from({ length: 256 }, (_, i) => ({ from: i * 3, value: i, weight: 1 }));
  const filter = assemble(load(0, search(ranges, returns)));
  for (let nr = 0; nr < 768; nr++) expect(run(filter, { arch: 0, nr }).steps).toBeLessThanOrEqual(2 + 8 + 2);
});

test('asks for a lone number amid alike ones by one comparison', () => {
  const ranges = [
    { from: 0, value: 1, weight: 1 },
    { from: 7, value: 2, weight: 1 },
    { from: 8, value: 1, weight: 1 },
  ];
  expect(assemble(load(0, search(ranges, returns))).length / 8).toBe(4);
});

test('asks for few ranges one by one, lone numbers first', () => {
  const ranges = [0, 7, 8, 20, 21].map((from, i) => ({ from, value: i % 2, weight: 1 }));
  const filter = assemble(load(0, search(ranges, returns)));
  // The load, a comparison each for 7 and 20, and two returns.
  expect(filter.length / 8).toBe(5);
  expect([6, 7, 8, 20, 21].map((nr) => simulate(filter, { arch: 0, nr }))).toEqual([0, 1, 0, 1, 0]);
});

test('a heavy range is found sooner than light ones', () => {
  const light = Array.from({ length: 31 }, (_, i) => ({ from: 100 + 3 * i, value: i, weight: 0.01 }));
  const filter = assemble(load(0, search([{ from: 0, value: 99, weight: 100 }, ...light], returns)));
  expect(run(filter, { arch: 0, nr: 5 }).steps).toBe(3);
});
