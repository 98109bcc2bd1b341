import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parsePointer, pointer, pointerOf, valueAt } from '../../../lib/spec/pointer.ts';

test('a pointer gives back the keys that it was made of', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (keys) => {
      expect(parsePointer(pointerOf(...keys))).toEqual(keys);
    }),
    { seed: 3 },
  );
});

test('escapes the two characters of RFC 6901', () => {
  expect(pointer('/linux/sysctl', 'net/ipv4~x')).toBe('/linux/sysctl/net~1ipv4~0x');
});

test.each(['a', '/~', '/~2'])('%j is no pointer', (text) => {
  expect(parsePointer(text)).toBe(undefined);
});

test('leads to a value by own properties only', () => {
  const document = { mounts: [{ type: 'proc' }], '': 1 };
  expect(valueAt(document, '/mounts/0/type')).toBe('proc');
  expect(valueAt(document, '')).toBe(document);
  expect(valueAt(document, '/')).toBe(1);
  expect(valueAt(document, '/mounts/1/type')).toBe(undefined);
  expect(valueAt(document, '/constructor')).toBe(undefined);
});
