import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeMessage, encodeCall, messageLength } from '../../../lib/dbus/message.ts';
import { Reader } from '../../../lib/dbus/read.ts';
import { typesOf, type Value } from '../../../lib/dbus/types.ts';
import { Writer } from '../../../lib/dbus/write.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('a message', () => {
  const hello = {
    destination: 'org.freedesktop.DBus',
    path: '/org/freedesktop/DBus',
    interface: 'org.freedesktop.DBus',
  };

  test('is laid out as the specification has it: header, fields, padding to eight, body', () => {
    const bytes = encodeCall(
      { ...hello, path: '/a', interface: 'b.c', destination: 'd.e', member: 'F', signature: 'u', values: [5] },
      1,
    );
    const field = (code: number, type: string, text: string, pad: number) =>
      `0${code}01${hex(Buffer.from(type))}00${Buffer.from([text.length, 0, 0, 0]).toString('hex')}${hex(Buffer.from(text))}00${'00'.repeat(pad)}`;
    const fields = [
      field(1, 'o', '/a', 5),
      field(2, 's', 'b.c', 4),
      field(3, 's', 'F', 6),
      field(6, 's', 'd.e', 4),
    ].join('');
    const signature = '08016700' + '017500';
    const length = fields.length / 2 + signature.length / 2;
    const header = `6c010001${'04000000'}${'01000000'}${Buffer.from([length, 0, 0, 0]).toString('hex')}`;
    const padding = '00'.repeat((8 - (length % 8)) % 8);
    expect(hex(bytes)).toBe(`${header}${fields}${signature}${padding}05000000`);
  });

  test('is known by its length from its first sixteen bytes on', () => {
    const bytes = encodeCall({ ...hello, member: 'M', signature: 's', values: ['x'] }, 7);
    expect(messageLength(bytes.subarray(0, 15))).toBeUndefined();
    expect(messageLength(bytes.subarray(0, 16))).toBe(bytes.length);
  });

  test('is read in either byte order', () => {
    const big = Buffer.from(
      '4202010100000005000000070000000f05017500000000030801670001730000' + '00000001' + '6100',
      'hex',
    );
    const fixed = Buffer.concat([big.subarray(0, 32), big.subarray(32)]);
    fixed.writeUInt32BE(6, 4);
    expect(decodeMessage(new Uint8Array(fixed))).toMatchObject({ kind: 'return', replyTo: 3, values: ['a'] });
  });

  test.each(['', '00', 'ff'.repeat(64), '6c'.padEnd(200, 'f')])('that is none is refused: %s', (text) => {
    const bytes = new Uint8Array(Buffer.from(text, 'hex'));
    expect(() => decodeMessage(bytes)).toThrow();
  });
});

/** A type, and values of it. */
const typed: fc.Arbitrary<readonly [string, Value]> = fc.letrec<{ any: readonly [string, Value] }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.nat(255).map((n) => ['y', n] as const),
    fc.boolean().map((b) => ['b', b] as const),
    fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }).map((n) => ['i', n] as const),
    fc.nat(0xffff_ffff).map((n) => ['u', n] as const),
    fc.bigInt(0n, (1n << 64n) - 1n).map((n) => ['t', n] as const),
    fc.bigInt(-(1n << 63n), (1n << 63n) - 1n).map((n) => ['x', n] as const),
    fc.string({ unit: 'grapheme' }).map((text) => ['s', text.replace(/\0/g, '')] as const),
    tie('any').map(([signature, value]) => ['v', { signature, value }] as const),
    fc
      .array(tie('any'), { minLength: 1, maxLength: 3 })
      .map((all) => [`(${all.map(([t]) => t).join('')})`, all.map(([, v]) => v)] as const),
    fc.array(fc.nat(0xffff_ffff), { maxLength: 200 }).map((all) => ['au', all] as const),
    fc
      .array(fc.tuple(fc.string(), fc.nat(255)))
      .map((all) => ['a{sy}', all.map(([k, v]) => [k.replace(/\0/g, ''), v] as Value)] as const),
  ),
})).any;

test('what is written is read again, wherever it begins', () => {
  fc.assert(
    fc.property(typed, fc.nat(7), ([type, value], offset) => {
      const writer = new Writer();
      for (let i = 0; i < offset; i++) writer.byte(0);
      writer.value(type, value);
      const reader = new Reader(writer.bytes(), true, offset);
      expect(reader.value(type)).toEqual(value);
      expect(reader.at).toBe(writer.length);
    }),
  );
});

test('bytes that are no values never do worse than throw', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.constantFrom('a(yv)', 'v', 's', 'a{sv}', 'aav', '(tb)'),
      (bytes, type) => {
        try {
          new Reader(bytes, true).value(type);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test('a signature is taken apart into its complete types', () => {
  expect(typesOf('ssa(sv)a(sa(sv))')).toEqual(['s', 's', 'a(sv)', 'a(sa(sv))']);
  for (const signature of ['(s', 'a', '()', 'a()']) expect(() => typesOf(signature)).toThrow(RangeError);
});
