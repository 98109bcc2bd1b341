import { expect, test } from 'vitest';
import { dataText } from '../../../lib/spec/data-text.ts';

test('plain data has a text, which says all of it', () => {
  const data = { list: [1, 'two', null, [true]], empty: {}, none: undefined };
  expect(dataText(data)).toBe('{"list":[1,"two",null,[true]],"empty":{}}');
});

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
