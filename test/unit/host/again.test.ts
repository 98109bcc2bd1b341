import { expect, test } from 'vitest';
import { usualEnd } from '../../../lib/host/again.ts';
import type { Exit, Session } from '../../../lib/host/host.ts';
import { frameBytes, frameKinds } from '../../../lib/program/frames.ts';

/** A frame as an init sends it. */
function frame(kind: (typeof frameKinds)[number], { tag = 0, value = 0 } = {}): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, frameKinds.indexOf(kind) + 1, true);
  view.setUint32(20, tag, true);
  view.setBigUint64(24, BigInt(value), true);
  return bytes;
}

const waits = frame('sync', { tag: 1 });
const started = frame('started');
const exits = (code: number) => frame('exit', { value: code << 8 });
const code = (n: number): Exit => ({ code: n, signal: undefined });

const over = (exit: Exit, ...frames: readonly Uint8Array[]) => ended(exit, Buffer.concat(frames));
const ended = (exit: Exit, frames: Uint8Array | undefined) => ({ over: { exit, frames } }) as unknown as Session;

test('a command without a reaper has ended as its process did', () => {
  expect(usualEnd(over(code(3), waits), { reaps: false })).toEqual(code(3));
  expect(usualEnd(over({ code: undefined, signal: 9 }, waits), { reaps: false })).toEqual({
    code: undefined,
    signal: 9,
  });
});

test('a command with a reaper has ended as that says, whatever became of itself', () => {
  expect(usualEnd(over(code(0), waits, started, exits(4)), { reaps: true })).toEqual(code(4));
  const killed = frame('exit', { value: 15 });
  expect(usualEnd(over(code(0), waits, started, killed), { reaps: true })).toEqual({ code: undefined, signal: 15 });
});

test('a code that an init ends with that failed is the command’s where it has not said that it failed', () => {
  expect(usualEnd(over(code(125), waits), { reaps: false })).toEqual(code(125));
});

test('anything else is for the ordinary way to be understood', () => {
  for (const [session, reaps] of [
    [{} as Session, false],
    // It said nothing.
    [over(code(1)), false],
    [over(code(1), frame('sync', { tag: 2 })), false],
    [over(code(1), waits, frame('error')), false],
    [over({ code: undefined, signal: undefined }, waits), false],
    // There were handles among what it said.
    [ended(code(1), undefined), false],
    [over(code(1), waits, new Uint8Array(3)), false],
    [over(code(1), waits, new Uint8Array(frameBytes)), false],
    [over(code(0), waits), true],
    [over(code(0), waits, started), true],
    [over(code(0), waits, exits(0)), true],
    [over(code(0), waits, started, exits(0), started), true],
    [over(code(0), waits, started, frame('exit', { value: 0x137f })), true],
  ] as const) {
    expect(usualEnd(session, { reaps })).toBeUndefined();
  }
});
