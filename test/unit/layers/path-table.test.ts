import { expect, test } from 'vitest';
import { Pages } from '../../../lib/layers/pages.ts';
import { noPath, PathTable, rootPath } from '../../../lib/layers/path-table.ts';

test('a path has one number, a smaller one than what is in it, and its text again', () => {
  const table = new PathTable(new Pages('/nonexistent'));
  const paths = ['a', 'a/b', 'b', 'a/b/c', 'a/bc', 'ab/c', '\xff/\x01'];
  const numbers = paths.map((path) => table.add(path));
  expect(new Set(numbers).size).toBe(paths.length);
  expect(paths.map((path) => table.add(path))).toEqual(numbers);
  expect(paths.map((path) => table.find(path))).toEqual(numbers);
  expect(numbers.map((number) => table.text(number))).toEqual(paths);
  for (const number of numbers) expect(table.directoryOf(number)).toBeLessThan(number);
  expect(table.find('')).toBe(rootPath);
  expect(table.text(rootPath)).toBe('');
  // The directory of `ab/c` has one too.
  expect(table.size).toBe(1 + paths.length + 2);
});

test('what has no number is told by the part of it that has one', () => {
  const table = new PathTable(new Pages('/nonexistent'));
  const number = table.add('usr/lib');
  expect(table.find('usr/lib/x')).toBe(noPath);
  expect(table.find('lib')).toBe(noPath);
  expect(table.nearest('usr/lib/x/y')).toEqual({ number, length: 'usr/lib'.length });
  expect(table.nearest('usr/lib')).toEqual({ number, length: 'usr/lib'.length });
  expect(table.nearest('lib/usr')).toEqual({ number: rootPath, length: 0 });
});

test('a great many paths, long ones too, are each found again', () => {
  const table = new PathTable(new Pages('/nonexistent'));
  const paths = Array.from({ length: 20_000 }, (_, i) => `${i % 7}/${'x'.repeat(i % 256 || 255)}/${i}`);
  const numbers = paths.map((path) => table.add(path));
  for (const [i, path] of paths.entries()) {
    expect(table.find(path)).toBe(numbers[i]);
    expect(table.text(numbers[i]!)).toBe(path);
  }
});

test('what a link of a lower layer leads to may be too long to be the name of anything', () => {
  expect(() => new PathTable(new Pages('/nonexistent')).add(`a/${'x'.repeat(256)}`)).toThrow('has 256 bytes');
});
