import { expect, test } from 'vitest';
import { median, quantile, spread, summarize } from '../../../bench/statistics.ts';

test('the median is the value in the middle, or lies between the two there', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([7])).toBe(7);
});

test('a quantile is a value that was measured', () => {
  const values = Array.from({ length: 200 }, (_, i) => 200 - i);
  expect(quantile(values, 0.99)).toBe(198);
  expect(quantile(values, 0)).toBe(1);
  expect(quantile(values, 1)).toBe(200);
  expect(quantile([3, 1], 0.99)).toBe(3);
});

test('nothing has no quantile', () => {
  expect(() => quantile([], 0.5)).toThrow('nothing was measured');
});

test('a summary tells how often, what is usual, what is rare, and what is least', () => {
  expect(summarize([3, 1, 2])).toEqual({ runs: 3, median: 2, p99: 3, least: 1 });
});

test('the same each time has a spread of 1, and one slow run in a hundred changes nothing', () => {
  expect(spread([2, 2, 2])).toBe(1);
  expect(spread([...Array.from({ length: 99 }, () => 2), 50])).toBe(1);
  expect(spread([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])).toBe(9);
});
