import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeUtf8, encodeUtf8 } from '../../../lib/program/utf8.ts';

test('any text is encoded as TextEncoder does it, lone surrogates included', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0xffff })), (units) => {
      const text = String.fromCharCode(...units);
      expect([...encodeUtf8(text)]).toEqual([...new TextEncoder().encode(text)]);
    }),
    { seed: 6 },
  );
});

test('what is encoded decodes to itself', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(decodeUtf8(encodeUtf8(text))).toBe(text);
    }),
    { seed: 7 },
  );
});

test('bytes that are not UTF-8 give U+FFFD and never throw', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const strict = () => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      let expected: string | undefined;
      try {
        expected = strict();
      } catch {}
      const text = decodeUtf8(bytes);
      if (expected === undefined) expect(text).toContain('\ufffd');
      else expect(text).toBe(expected);
    }),
    { numRuns: 2000, seed: 8 },
  );
});
