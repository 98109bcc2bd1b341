import { expect, test } from 'vitest';
import { multiplexed } from '../../../lib/seccomp/multiplexed.ts';

test('socket and shmat can be made through socketcall and ipc, read cannot', () => {
  expect(multiplexed('socket')).toEqual({ number: 102, call: 1 });
  expect(multiplexed('sendmmsg')).toEqual({ number: 102, call: 20 });
  expect(multiplexed('semtimedop')).toEqual({ number: 117, call: 4 });
  expect(multiplexed('shmctl')).toEqual({ number: 117, call: 24 });
  expect(multiplexed('read')).toBeUndefined();
});
