import { expect, test } from 'vitest';
import { Interruption } from '../../../lib/cli/interruption.ts';

test('the first signal that asks to end is the one that counts', () => {
  const interruption = new Interruption();
  let heard = 0;
  interruption.addEventListener('abort', () => heard++);
  interruption.give(18);
  expect([interruption.aborted, heard]).toEqual([false, 0]);
  interruption.give(2);
  interruption.give(15);
  expect([interruption.aborted, interruption.signal, heard]).toEqual([true, 2, 1]);
});

test('who has stopped listening is not told', () => {
  const interruption = new Interruption();
  const fail = (): void => {
    throw new Error('told');
  };
  interruption.addEventListener('abort', fail);
  interruption.removeEventListener('abort', fail);
  interruption.give(15);
  expect(interruption.aborted).toBe(true);
});
