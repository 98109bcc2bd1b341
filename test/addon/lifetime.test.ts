import { expect, test } from 'vitest';
import { patience } from '../support/patience.ts';
import { testIf } from '../support/requires.ts';
import { runFixture } from './fixture.ts';

/** Each worker compiles all that it imports. */
const timeoutMs = 60_000 * patience;

test('handles that are collected are closed', async () => {
  expect(await runFixture('collected-handles', { flags: ['--expose-gc'] })).toEqual({ left: 0 });
});

testIf('userns')('a worker that exits takes its inits with it', async () => {
  expect(await runFixture('worker-exit')).toEqual({ inits: 3, left: 0, descriptors: 0 });
});

test(
  'workers that are terminated while they spawn leave nothing and crash nothing',
  async () => {
    expect(await runFixture('worker-terminated', { timeoutMs })).toEqual({ left: 0, descriptors: 0 });
  },
  70_000 * patience,
);

test('a session that does not hold the event loop lets the process end', async () => {
  expect(await runFixture('not-held')).toEqual({ spawned: true });
});

test('a process that exits in the middle of everything exits with its own code', async () => {
  expect(await runFixture('exit-at-once')).toEqual({ exiting: true });
});

test('an exception in a receiver is an uncaught exception, not a lost one', async () => {
  expect(await runFixture('throwing')).toEqual({ caught: 'from a reader' });
});

test(
  'a worker that ends while it waits for everything takes nothing with it that is not its own',
  async () => {
    expect(await runFixture('worker-waiting', { timeoutMs })).toEqual({ descriptors: 0, code: 0 });
  },
  70_000 * patience,
);
