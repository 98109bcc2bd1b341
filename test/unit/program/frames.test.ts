import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import {
  decodeFrame,
  decodeFrames,
  frameBytes,
  frameKinds,
  goMessage,
  segmentMessages,
} from '../../../lib/program/frames.ts';
import { limits } from '../../../lib/program/limits.ts';
import { opNames, steps } from '../../../lib/program/ops.ts';

/** A frame as the init lays it out: native/program/format.h. */
function frame(kind: number, fill: (view: DataView) => void = () => {}): Uint8Array {
  const bytes = new Uint8Array(frameBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind, true);
  fill(view);
  return bytes;
}

test('an error frame says which op, which step, and what was worked on', () => {
  const bytes = frame(8, (view) => {
    view.setUint32(8, 3, true);
    view.setUint16(12, opNames.indexOf('attach'), true);
    view.setUint16(14, steps.indexOf('move_mount'), true);
    view.setInt32(16, 13, true);
    view.setUint32(32, 4, true);
    view.setUint32(40, 0x74616c66, true);
  });
  expect(decodeFrame(bytes)).toEqual({
    kind: 'error',
    tag: 0,
    index: 3,
    op: 'attach',
    step: 'move_mount',
    errno: 13,
    detail: 'flat',
  });
});

test('a detail that claims to be longer than the frame is cut at its end', () => {
  const bytes = frame(8, (view) => view.setUint32(32, 0xffffffff, true));
  expect(decodeFrame(bytes)).toMatchObject({ detail: '\0'.repeat(280) });
});

test('frames one after the other are what each is by itself', () => {
  const long = frame(8, (view) => view.setUint32(32, 0xffffffff, true));
  const all = [frame(2, (view) => view.setUint32(20, 7, true)), long, frame(6), frame(7)];
  const text = Buffer.concat(all).toString('latin1');
  expect(decodeFrames(text)).toEqual(all.map(decodeFrame));
  expect(() => decodeFrames(text.slice(1))).toThrow('319 bytes');
});

test('a frame of characters is what it is of bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: frameBytes, maxLength: frameBytes }), fc.nat({ max: 9 }), (bytes, kind) => {
      bytes.set([kind, 0, 0, 0]);
      bytes[15] = 0;
      const read = <T>(decode: () => T) => {
        try {
          return decode();
        } catch (error) {
          return String(error);
        }
      };
      const text = Buffer.from(bytes).toString('latin1');
      expect(read(() => decodeFrames(text)[0])).toEqual(read(() => decodeFrame(bytes)));
    }),
  );
});

test('hostile bytes give a frame or a RuntsError', () => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 300, maxLength: 330 }),
      fc.nat({ max: 12 }),
      fc.boolean(),
      (bytes, kind, fit) => {
        const hostile = fit ? new Uint8Array(frameBytes) : bytes;
        if (fit) hostile.set(bytes.subarray(0, frameBytes));
        if (fit) new DataView(hostile.buffer).setUint32(0, kind, true);
        if (fit && kind === 8) hostile[15] = 0;
        try {
          kinds.add(decodeFrame(hostile).kind);
        } catch (error) {
          expect(RuntsError.is(error)).toBe(true);
        }
      },
    ),
    { numRuns: 2000, seed: 9 },
  );
  expect([...kinds].sort()).toEqual([...frameKinds].sort());
});

test('a program travels in messages of a bounded size, each saying the size of the whole', () => {
  const program = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
  const messages = segmentMessages(program);
  expect(messages.map((message) => message.length - 8)).toEqual([limits.messageBytesMax, limits.messageBytesMax, 4464]);
  expect(messages.map((message) => new DataView(message.buffer).getUint32(4, true))).toEqual([70_000, 70_000, 70_000]);
  expect(Buffer.concat(messages.map((message) => message.subarray(8))).equals(program)).toBe(true);
  expect([...goMessage(7)]).toEqual([2, 0, 0, 0, 7, 0, 0, 0]);
});
