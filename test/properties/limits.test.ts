// Limits as people and systemd write them: sizes, durations, lists of processors.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { durationMs } from '../../lib/cli/duration.ts';
import { RuntsError } from '../../lib/errors.ts';
import { bitMask } from '../../lib/spec/bit-mask.ts';
import { parseBytes } from '../../lib/spec/bytes.ts';
import { issuesOf, numberList } from '../../lib/spec/shape.ts';
import { runs } from './runs.ts';

const units = { '': 0n, k: 10n, m: 20n, g: 30n, t: 40n } as const;

test('a size is the number of bytes that it says, exactly, or none', () => {
  const unit = fc.constantFrom<keyof typeof units>('', 'k', 'm', 'g', 't');
  fc.assert(
    fc.property(fc.bigInt(0n, 2n ** 56n), unit, fc.boolean(), (number, unit, upper) => {
      const bytes = number << units[unit];
      const most = BigInt(Number.MAX_SAFE_INTEGER);
      const digits = String(number);
      const expected = bytes <= most && digits.length <= 16 ? Number(bytes) : undefined;
      expect(parseBytes(`${digits}${upper ? unit.toUpperCase() : unit}`)).toBe(expected);
    }),
    runs(1500),
  );
});

test('a size with a fraction is within a byte of what it says', () => {
  fc.assert(
    fc.property(fc.nat(4095), fc.nat(9999), fc.constantFrom('k', 'm', 'g', 't'), (whole, part, unit) => {
      const bytes = parseBytes(`${whole}.${String(part).padStart(4, '0')}${unit}`) as number;
      const exact = (whole * 10_000 + part) * (Number(1n << units[unit as 'k']) / 10_000);
      expect(Math.abs(bytes - exact)).toBeLessThanOrEqual(1);
    }),
    runs(800),
  );
});

const pieces = fc.constantFrom(
  '0',
  '1',
  '9',
  '18446744073709551616',
  '.',
  '-',
  '+',
  'e3',
  ' ',
  'k',
  'G',
  'b',
  '\n',
  '٣',
  'NaN',
);
const line = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.array(pieces, { maxLength: 5 }).map((parts) => parts.join('')),
);

test('any text and any number are a size that is exact, or none', () => {
  fc.assert(
    fc.property(fc.oneof(line, fc.double(), fc.integer()), (value) => {
      const bytes = parseBytes(value);
      expect(bytes === undefined || (Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
      if (typeof value === 'string' && bytes !== undefined) expect(value).toMatch(/^[0-9.]+[kmgt]?$/i);
    }),
    runs(1500),
  );
});

test('a duration is the sum of its parts, and any other text is none', () => {
  const parts = { ns: 1e-6, us: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
  const part = fc.tuple(
    fc.integer({ min: 1, max: 9999 }),
    fc.constantFrom(...(Object.keys(parts) as (keyof typeof parts)[])),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (list) => {
      const sum = list.reduce((total, [number, unit]) => total + number * parts[unit], 0);
      expect(durationMs(list.map((each) => each.join('')).join(''))).toBeCloseTo(sum, 3);
    }),
    runs(800),
  );
  fc.assert(
    fc.property(line, (text) => {
      const ms = durationMs(text);
      expect(ms === undefined || (ms > 0 && Number.isFinite(ms))).toBe(true);
    }),
    runs(800),
  );
});

/** Numbers as a list of ranges, in any order; each may be said twice. */
const number = fc.oneof(fc.nat(80), fc.nat(2000));
const ranges = fc.array(fc.tuple(number, fc.nat(30)), { minLength: 1, maxLength: 5 });
const written = (list: readonly (readonly [number, number])[]) =>
  list.map(([from, more]) => (more === 0 ? `${from}` : `${from}-${from + more}`)).join(',');
const members = (mask: Uint8Array) =>
  [...mask].flatMap((byte, i) => [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (1 << bit)).map((bit) => 8 * i + bit));
const accepts = (text: unknown) => issuesOf(text, numberList, '/cpus').length === 0;

test('a list of processors has the numbers that are in its ranges, and the mask no byte too many', () => {
  fc.assert(
    fc.property(ranges, (list) => {
      const text = written(list);
      const all = new Set(list.flatMap(([from, more]) => Array.from({ length: more + 1 }, (_, i) => from + i)));
      const mask = bitMask(text, '/cpus');
      expect(accepts(text)).toBe(true);
      expect(members(mask)).toEqual([...all].sort((a, b) => a - b));
      expect(mask.at(-1)).not.toBe(0);
    }),
    runs(1000),
  );
});

test('of every so many processors the first few: what the kernel’s lists have', () => {
  fc.assert(
    fc.property(
      number,
      fc.nat(60),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      (from, more, a, b) => {
        const [used, group] = [Math.min(a, b), Math.max(a, b)];
        const text = `${from}-${from + more}:${used}/${group}`;
        const expected = Array.from({ length: more + 1 }, (_, i) => i).filter((i) => i % group < used);
        expect(accepts(text)).toBe(true);
        expect(members(bitMask(text, '/cpus'))).toEqual(expected.map((i) => from + i));
      },
    ),
    runs(600),
  );
});

test('any other list is refused in a sentence, at the configuration’s door or where it is read', () => {
  const piece = fc.constantFrom(
    '0',
    '7',
    '99999',
    '1234567',
    '-',
    ',',
    ':',
    '/',
    ' ',
    '\n',
    'x',
    '1-2',
    '5-3',
    '0-9:2/0',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        line,
        fc.array(piece, { maxLength: 6 }).map((parts) => parts.join('')),
      ),
      (text) => {
        const accepted = accepts(text);
        try {
          const mask = bitMask(text, '/cpus');
          expect(mask.length).toBeLessThanOrEqual(8192);
        } catch (error) {
          expect(RuntsError.is(error)).toBe(true);
        }
        if (accepted) expect(text).toMatch(/^[0-9,:/-]*$/);
      },
    ),
    runs(1500),
  );
});
