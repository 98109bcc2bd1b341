import { expect, test } from 'vitest';
import { Recent } from '../../../lib/spec/recent.ts';

test('a value is made once while its key is among those that were asked for last', () => {
  const made: string[] = [];
  const recent = new Recent<string>(2);
  const get = (key: string) =>
    recent.get(key, () => {
      made.push(key);
      return key.toUpperCase();
    });
  expect(['a', 'b', 'a', 'c', 'b', 'a'].map(get)).toEqual(['A', 'B', 'A', 'C', 'B', 'A']);
  expect(made).toEqual(['a', 'b', 'c', 'b', 'a']);
});

test('what is asked for by its value is the last to go, too', () => {
  const dropped: string[] = [];
  const recent = new Recent<string>(2, (value) => dropped.push(value));
  for (const key of ['a', 'b']) recent.get(key, () => key);
  expect(recent.match((value) => value === 'a')).toBe('a');
  recent.get('c', () => 'c');
  expect(recent.values()).toEqual(['a', 'c']);
  expect(dropped).toEqual(['b']);
  expect(recent.match((value) => value === 'b')).toBeUndefined();
});

test('what could not be made is tried again', () => {
  const recent = new Recent<number>(1);
  expect(() =>
    recent.get('a', () => {
      throw new Error('not now');
    }),
  ).toThrow('not now');
  expect(recent.get('a', () => 1)).toBe(1);
});
