import { expect, test } from 'vitest';
import { Recent } from '../../../lib/spec/recent.ts';

test('a value is made once while its key is among the last ones', () => {
  const made: string[] = [];
  const recent = new Recent<string>(2);
  const get = (key: string) =>
    recent.get(key, () => {
      made.push(key);
      return key.toUpperCase();
    });
  expect(['a', 'b', 'a', 'c', 'b', 'a'].map(get)).toEqual(['A', 'B', 'A', 'C', 'B', 'A']);
  expect(made).toEqual(['a', 'b', 'c', 'a']);
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
