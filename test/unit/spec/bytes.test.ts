import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseBytes } from '../../../lib/spec/bytes.ts';

test.each([
  [0, 0],
  [512, 512],
  ['512', 512],
  ['1k', 1024],
  ['512m', 536_870_912],
  ['1G', 1_073_741_824],
  ['1.5k', 1536],
  ['2t', 2_199_023_255_552],
])('%j is %d bytes', (size, bytes) => {
  expect(parseBytes(size)).toBe(bytes);
});

test.each([
  '',
  'm',
  '-1',
  '-1m',
  '1mb',
  '1 m',
  '1e3',
  '0x10',
  '1.5',
  '.5k',
  '1.k',
  'Infinity',
  '99999999t',
  ' 1',
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53,
  null,
  undefined,
  true,
  1n,
  [],
  {},
])('%o is no size', (size) => {
  expect(parseBytes(size)).toBe(undefined);
});

test('gives an exact size or none, whatever the value', () => {
  const sized = fc
    .tuple(fc.double({ noNaN: true }), fc.constantFrom('', 'k', 'm', 'g', 't'))
    .map(([n, unit]) => `${n}${unit}`);
  fc.assert(
    fc.property(fc.oneof(fc.anything(), sized), (size) => {
      const bytes = parseBytes(size);
      expect(bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
    }),
    { seed: 4, numRuns: 2000 },
  );
});

test('a whole number with a unit is that many times the unit', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1_000_000 }), (n) => {
      expect([parseBytes(`${n}`), parseBytes(`${n}k`), parseBytes(`${n}m`), parseBytes(`${n}g`)]).toEqual(
        [1, 1024, 1024 ** 2, 1024 ** 3].map((unit) => (Number.isSafeInteger(n * unit) ? n * unit : undefined)),
      );
    }),
    { seed: 5 },
  );
});
