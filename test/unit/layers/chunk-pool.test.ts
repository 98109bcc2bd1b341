import { expect, test } from 'vitest';
import { ChunkPool } from '../../../lib/layers/chunk-pool.ts';

test('memory that is given back is lent again, once', () => {
  const pool = new ChunkPool();
  const chunk = pool.lend();
  pool.giveBack(chunk.subarray(0, 10));
  pool.giveBack(chunk);
  expect(pool.lend().buffer).toBe(chunk.buffer);
  expect(pool.lend().buffer).not.toBe(chunk.buffer);
});

test('memory that was made elsewhere is freed at once when its end is given back, and not before', () => {
  const pool = new ChunkPool();
  const memory = Buffer.allocUnsafeSlow(100_000).fill('x');
  const [start, end] = [pool.adopt(memory.subarray(0, 60_000)), pool.adopt(memory.subarray(60_000))];
  pool.giveBack(start);
  expect(memory.toString()).toBe('x'.repeat(100_000));
  pool.giveBack(end);
  expect(memory).toHaveLength(0);
});

test('memory that is none of the pool is left alone', () => {
  const memory = Buffer.from('not lent');
  new ChunkPool().giveBack(memory);
  expect(memory.toString()).toBe('not lent');
});
