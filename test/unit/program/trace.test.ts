import { expect, test } from 'vitest';
import { traceLine } from '../../../lib/program/trace.ts';

test('the time of an op stands before its number, its name and where it comes from', () => {
  const line = traceLine({ op: 'mask', origin: '/linux/maskedPaths/11' }, 52, 12345n);
  expect(line).toBe('    12345 ns   52 mask  ; /linux/maskedPaths/11');
});
