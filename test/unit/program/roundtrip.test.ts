import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type DecodedOp, decode } from '../../../lib/program/decode.ts';
import { type Encodable, encode } from '../../../lib/program/encode.ts';
import { type Explainable, explain } from '../../../lib/program/explain.ts';
import { layoutOf } from '../../../lib/program/layout.ts';
import type { Op } from '../../../lib/program/ops.ts';
import { verify } from '../../../lib/program/verify.ts';
import { segments } from './generate.ts';

/** The segment with its registers renamed as the wire numbers them, and without origins. */
function numbered({ inputs, ops }: Encodable): readonly DecodedOp[] {
  const numbers = new Map(inputs.map((name, i) => [name, `r${i}`]));
  const rename = (name: string) => numbers.get(name) as string;
  return ops.map((op) => {
    const values = op.operands as unknown as Record<string, unknown>;
    const operands: Record<string, unknown> = {};
    for (const { name, kind } of layoutOf(op.op)!.slots) {
      const value = values[name];
      if (kind === 'out' && !numbers.has(value as string)) numbers.set(value as string, `r${numbers.size}`);
      if (kind === 'ins') operands[name] = (value as string[]).map(rename);
      else if (value === undefined || !['in', 'out', 'maybe'].includes(kind)) operands[name] = value;
      else operands[name] = rename(value as string);
    }
    const { unless, skip } = op;
    return { op: op.op, operands, ...(unless && { unless }), ...(skip && { skip }) };
  });
}

test('what is encoded passes the verifier and decodes to the same ops', () => {
  fc.assert(
    fc.property(segments, (segment) => {
      const program = encode(segment);
      expect(verify(program)).toBeUndefined();
      expect(decode(program).ops).toEqual(numbered(segment));
    }),
    { numRuns: 300, seed: 1 },
  );
});

test('a decoded program encodes to the same bytes', () => {
  fc.assert(
    fc.property(segments, (segment) => {
      const program = encode(segment, { trace: true, failAt: 0, failErrno: 13 });
      const { inputs, ops, trace, failAt, failErrno } = decode(program);
      const again = { inputs, ops: ops.map((op) => ({ ...op, origin: '' }) as unknown as Op) };
      expect(encode(again, { trace, failAt: failAt!, failErrno: failErrno! })).toEqual(program);
    }),
    { numRuns: 100, seed: 2 },
  );
});

test('every program has a text of one line for each op', () => {
  fc.assert(
    fc.property(segments, (segment) => {
      const lines = explain({ inputs: [], ops: segment.ops as readonly Explainable[] }).split('\n');
      expect(lines.length).toBe(segment.ops.length + 1);
    }),
    { numRuns: 100, seed: 3 },
  );
});
