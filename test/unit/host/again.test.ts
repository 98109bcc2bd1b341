import { expect, test } from 'vitest';
import { usualEnd } from '../../../lib/host/again.ts';
import type { Exit, Session } from '../../../lib/host/host.ts';
import type { Frame } from '../../../lib/program/frames.ts';

const waits: Frame = { kind: 'sync', tag: 1 };
const started: Frame = { kind: 'started' };
const exits = (code: number): Frame => ({ kind: 'exit', status: code << 8 });
const code = (n: number): Exit => ({ code: n, signal: undefined });

const over = (exit: Exit, ...frames: readonly Frame[]) => ended(exit, frames);
const ended = (exit: Exit, frames: readonly Frame[] | undefined) => ({ over: { exit, frames } }) as unknown as Session;

test('a command without a reaper has ended as its process did', () => {
  expect(usualEnd(over(code(3), waits), { reaps: false })).toEqual(code(3));
  expect(usualEnd(over({ code: undefined, signal: 9 }, waits), { reaps: false })).toEqual({
    code: undefined,
    signal: 9,
  });
});

test('a command with a reaper has ended as that says, whatever became of itself', () => {
  expect(usualEnd(over(code(0), waits, started, exits(4)), { reaps: true })).toEqual(code(4));
  const killed = { kind: 'exit', status: 15 } as const;
  expect(usualEnd(over(code(0), waits, started, killed), { reaps: true })).toEqual({ code: undefined, signal: 15 });
});

test('a code that an init ends with that failed is the command’s where it has not said that it failed', () => {
  expect(usualEnd(over(code(125), waits), { reaps: false })).toEqual(code(125));
});

test('anything else is for the ordinary way to be understood', () => {
  const failed = { kind: 'error', tag: 0, index: 1, op: 'exec', step: 'execve', errno: 2, detail: '' } as const;
  for (const [session, reaps] of [
    [{} as Session, false],
    // It said nothing.
    [over(code(1)), false],
    [over(code(1), { kind: 'sync', tag: 2 }), false],
    [over(code(1), waits, failed), false],
    [over({ code: undefined, signal: undefined }, waits), false],
    // There were handles with what it said.
    [ended(code(1), undefined), false],
    [over(code(0), waits), true],
    [over(code(0), waits, started), true],
    [over(code(0), waits, exits(0)), true],
    [over(code(0), waits, started, exits(0), started), true],
    [over(code(0), waits, started, { kind: 'exit', status: 0x137f }), true],
  ] as const) {
    expect(usualEnd(session, { reaps })).toBeUndefined();
  }
});
