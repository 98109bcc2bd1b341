import { expect, test } from 'vitest';
import { Signals } from '../../../lib/cli/signals.ts';

test('the first signal that asks to end cancels', () => {
  const signals = new Signals();
  let heard = 0;
  signals.addEventListener('abort', () => heard++);
  signals.give(18);
  expect([signals.aborted, heard]).toEqual([false, 0]);
  signals.give(2);
  signals.give(15);
  expect([signals.aborted, signals.canceledBy, heard]).toEqual([true, 2, 1]);
});

test('who has stopped listening is not told', () => {
  const signals = new Signals();
  const fail = (): void => {
    throw new Error('told');
  };
  signals.addEventListener('abort', fail);
  signals.removeEventListener('abort', fail);
  signals.give(15);
  expect(signals.aborted).toBe(true);
});

test('what comes while the command is being started waits for it, and is passed on in order', () => {
  const signals = new Signals();
  const passed: number[] = [];
  signals.hold();
  signals.give(15);
  signals.give(18);
  expect([signals.aborted, passed]).toEqual([false, []]);
  signals.passTo((signal) => passed.push(signal));
  signals.give(2);
  expect([signals.aborted, passed]).toEqual([false, [15, 18, 2]]);
});
