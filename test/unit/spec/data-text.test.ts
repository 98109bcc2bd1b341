import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dataText, isSameData } from '../../../lib/spec/data-text.ts';

test('plain data has a text, which says all of it', () => {
  const data = { list: [1, 'two', null, [true]], empty: {}, none: undefined };
  expect(dataText(data)).toBe('{"list":[1,"two",null,[true]],"empty":{}}');
});

const nowhere = undefined as unknown as { b: number };
const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);

test.each([
  ['a function', { ready: () => {} }],
  ['a large number', { size: 1n }],
  ['a number that JSON has no word for', [Number.NaN]],
  ['a zero with a sign', [-0]],
  ['bytes', { input: new Uint8Array(1) }],
  ['an object of a class', { at: new Date(0) }],
  ['a list with a hole', new Array(2)],
  ['a list that has no value for an item', [undefined]],
  ['a list with a property', Object.assign([1], { more: 1 })],
  ['an object that says itself how it is written', { toJSON: () => 'else' }],
  ['a symbol', { a: Symbol('a') }],
  ['what is deeper than anything that people write', deep(40)],
])('%s has none', (_, value) => {
  expect(dataText(value)).toBe(undefined);
});

test('two values are the same data where they have the same text', () => {
  // Few names and few values, so that many are the same.
  const name = fc.constantFrom('a', 'b', '__proto__');
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.constantFrom(0, -0, 1, '1', '', null, undefined, true, Number.NaN, new Date(0)),
      fc.array(tie('value'), { maxLength: 2 }),
      fc.dictionary(name, tie('value'), { maxKeys: 3 }),
    ),
  }));
  fc.assert(
    fc.property(value, value, (given, other) => {
      for (const known of [other, given]) {
        const text = dataText(known);
        if (text === undefined) continue;
        expect(isSameData(given, JSON.parse(text))).toBe(dataText(given) === text);
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['names in another order', { b: 1, a: 1 }, { a: 1, b: 1 }],
  ['one name less', { a: 1 }, { a: 1, b: 1 }],
  ['one name more', { a: 1, b: 1, c: 1 }, { a: 1, b: 1 }],
  ['a list of other length', [1, 2], [1]],
  ['a list in place of an object', { a: [] }, { a: {} }],
  ['an object of a class', { a: new Date(0) }, { a: {} }],
  ['an object that says itself how it is written', { a: 1, toJSON: () => ({ a: 1 }) }, { a: 1 }],
  ['a zero with a sign', [-0], [0]],
  ['what cannot be looked at', Object.defineProperty({}, 'a', { enumerable: true, get: () => nowhere.b }), { a: 1 }],
])('%s is not the same', (_, value, data) => {
  expect(isSameData(value, data)).toBe(false);
});
