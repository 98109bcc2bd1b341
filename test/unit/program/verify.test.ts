import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { decode } from '../../../lib/program/decode.ts';
import { encode } from '../../../lib/program/encode.ts';
import { headerAt, layoutOf, opAt } from '../../../lib/program/layout.ts';
import type { Op } from '../../../lib/program/ops.ts';
import { verify } from '../../../lib/program/verify.ts';
import { small } from './small.ts';

const program = encode(small());
const recordsEnd = 64 + 64 * small().ops.length;

function flipped(byte: number, bit: number): Uint8Array {
  const mutant = program.slice();
  mutant[byte] = mutant[byte]! ^ (1 << bit);
  return mutant;
}

test('every flipped bit of the header is refused, but for TRACE', () => {
  const accepted: string[] = [];
  for (let byte = 0; byte < 64; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      if (verify(flipped(byte, bit)) === undefined) accepted.push(`${byte}.${bit}`);
    }
  }
  // One register more than is used does no harm; one input less, or more, is refused.
  expect(accepted.filter((at) => !at.startsWith(`${headerAt.registers}.`) && !at.startsWith('29.'))).toEqual(['6.0']);
});

test('a flipped bit of an op is refused, or gives another valid program', () => {
  let refused = 0;
  for (let byte = 64; byte < recordsEnd; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const mutant = flipped(byte, bit);
      if (verify(mutant) !== undefined) {
        refused++;
        continue;
      }
      const { inputs, ops } = decode(mutant);
      expect(ops.length).toBe(small().ops.length);
      expect(inputs).toEqual(['r0', 'r1']);
    }
  }
  expect(refused / (8 * (recordsEnd - 64))).toBeGreaterThan(0.8);
});

test('flipped bits of the data never make the verifier or the decoder throw anything unexpected', () => {
  for (let byte = recordsEnd; byte < program.length; byte++) {
    for (let bit = 0; bit < 8; bit++) {
      const mutant = flipped(byte, bit);
      if (verify(mutant) === undefined) decode(mutant);
    }
  }
});

test('every truncation is refused', () => {
  for (let length = 0; length < program.length; length++) {
    expect(verify(program.subarray(0, length))).toMatchObject({ op: -1 });
  }
});

test('a program with bytes after its end is refused', () => {
  const longer = new Uint8Array(program.length + 8);
  longer.set(program);
  expect(verify(longer)).toEqual({ op: -1, reason: 'size' });
});

test('any bytes are refused without a throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, plausible) => {
      if (plausible) bytes.set(program.subarray(0, Math.min(bytes.length, 16)));
      expect(verify(bytes)).toBeDefined();
    }),
    { seed: 4 },
  );
});

test('the decoder says which rule is broken', () => {
  expect(() => decode(flipped(0, 0))).toThrow(RuntsError);
  expect(() => decode(flipped(0, 0))).toThrow('its header breaks the rule "magic"');
});

// ---- the flow of registers, against every way through the program ----------------------------------------------------

interface Line {
  readonly fills: boolean;
  readonly register: number;
  /** No guard, or so many ops skipped on success. */
  readonly skip: number | undefined;
}

/** A program of opens and attaches as lines say, whether the encoder would agree or not. */
function assemble(lines: readonly Line[], registers: number): Uint8Array {
  const ops = lines.map((_, i) => ({
    op: 'open',
    operands: { dst: `r${i}`, path: '/' },
    origin: '',
    unless: ['EPERM'],
  }));
  const bytes = encode({ inputs: [], ops: [...ops, { op: 'halt', operands: {}, origin: '' }] as unknown as Op[] });
  const view = new DataView(bytes.buffer);
  view.setUint16(headerAt.registers, registers, true);
  lines.forEach(({ fills, register, skip }, i) => {
    const at = 64 + 64 * i;
    if (!fills) view.setUint16(at + opAt.code, layoutOf('attach_host')!.code, true);
    if (skip === undefined) view.setUint16(at + opAt.onError, 0, true);
    if (skip === undefined) view.setUint32(at + opAt.guard, 0, true);
    view.setUint8(at + opAt.skip, skip ?? 0);
    view.setUint32(at + opAt.args, register, true);
  });
  return bytes;
}

/** Walks every way: true if each use finds its register filled, and each definition finds it free. */
function sound(lines: readonly Line[], at: number, filled: readonly number[]): boolean {
  const line = lines[at];
  if (line === undefined) return true;
  const { fills, register, skip } = line;
  if (filled.includes(register) === fills) return false;
  const after = fills ? [...filled, register] : filled;
  if (skip === undefined) return sound(lines, at + 1, after);
  return sound(lines, at + 1, filled) && sound(lines, at + 1 + skip, after);
}

test('the verifier accepts exactly what is sound on every way', () => {
  const registers = 3;
  const line = fc.record({
    fills: fc.boolean(),
    register: fc.nat({ max: registers - 1 }),
    skip: fc.option(fc.nat({ max: 3 }), { nil: undefined }),
  });
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(line, { minLength: 1, maxLength: 7 }), (drawn) => {
      const lines = drawn.map((one, i) =>
        one.skip === undefined ? one : { ...one, skip: Math.min(one.skip, drawn.length - 1 - i) },
      );
      const accepts = verify(assemble(lines, registers)) === undefined;
      expect(accepts).toBe(sound(lines, 0, []));
      if (accepts) accepted++;
    }),
    { numRuns: 5000, seed: 5 },
  );
  expect(accepted).toBeGreaterThan(200);
});

test('a skip of 15 lands on the far end of the ring', () => {
  const first: Line = { fills: true, register: 0, skip: 15 };
  const others = Array.from({ length: 15 }, (_, i): Line => ({ fills: true, register: i + 1, skip: 0 }));
  const alternative: Line[] = [...others.slice(0, 14), { fills: true, register: 0, skip: undefined }];
  const use: Line = { fills: false, register: 0, skip: undefined };
  expect(verify(assemble([first, ...alternative, use], 16))).toBeUndefined();
  expect(verify(assemble([first, ...others, use], 16))).toEqual({ op: 16, reason: 'register' });
});
