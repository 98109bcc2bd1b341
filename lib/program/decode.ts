import { RuntsError } from '../errors.ts';
import { errnoName } from './errno.ts';
import { headerAt, type Layout, layouts, opAt, type Slot } from './layout.ts';
import { wire } from './limits.ts';
import type { OpName } from './ops.ts';
import { decodeUtf8 } from './utf8.ts';
import { verify } from './verify.ts';

/** An op as it came over the wire: registers have lost their names and are r0, r1, …; there is no origin. */
export interface DecodedOp {
  readonly op: OpName;
  readonly operands: Readonly<Record<string, unknown>>;
  readonly unless?: readonly string[];
  readonly skip?: number;
}

export interface DecodedProgram {
  readonly inputs: readonly string[];
  readonly ops: readonly DecodedOp[];
  readonly registers: number;
  readonly trace: boolean;
  readonly failAt?: number;
  readonly failErrno?: number;
}

/** The ops of an encoded program: for tests, and to look at what was sent. Refuses what `verify` refuses. */
export function decode(program: Uint8Array): DecodedProgram {
  const refusal = verify(program);
  if (refusal !== undefined) {
    const where = refusal.op < 0 ? 'its header' : `op ${refusal.op}`;
    throw new RuntsError('ERR_INTERNAL', `not a program: ${where} breaks the rule "${refusal.reason}"`);
  }
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const count = view.getUint32(headerAt.ops, true);
  const dataStart = wire.headerBytes + count * wire.opBytes;
  const data: Section = { view, start: dataStart, bytes: program.subarray(dataStart) };
  const flags = view.getUint16(headerAt.flags, true);
  const ops: DecodedOp[] = [];
  for (let i = 0; i < count; i++) ops.push(decodeOp(data, wire.headerBytes + i * wire.opBytes));
  return {
    inputs: Array.from({ length: view.getUint16(headerAt.inputs, true) }, (_, i) => register(i)),
    ops,
    registers: view.getUint16(headerAt.registers, true),
    trace: (flags & wire.flagTrace) !== 0,
    ...((flags & wire.flagTest) !== 0 && {
      failAt: view.getUint32(headerAt.failAt, true),
      failErrno: view.getUint32(headerAt.failErrno, true),
    }),
  };
}

interface Section {
  readonly view: DataView;
  /** Where the data section starts in the program. */
  readonly start: number;
  readonly bytes: Uint8Array;
}

const register = (number: number) => `r${number}`;

function decodeOp(data: Section, at: number): DecodedOp {
  const { view } = data;
  const layout = layouts[view.getUint16(at + opAt.code, true)] as Layout;
  const entries = layout.slots.map(
    (slot, s) => [slot.name, decodeOperand(data, slot, at + opAt.args + 8 * s)] as const,
  );
  const op: DecodedOp = { op: layout.name, operands: Object.fromEntries(entries) };
  const guard = view.getUint32(at + opAt.guard, true);
  if (guard === 0) return op;
  const unless = wordsAt(data, guard).map(errnoName);
  const skip = view.getUint8(at + opAt.skip);
  return skip === 0 ? { ...op, unless } : { ...op, unless, skip };
}

function decodeOperand(data: Section, slot: Slot, at: number): unknown {
  const low = data.view.getUint32(at, true);
  switch (slot.kind) {
    case 'int':
    case 'flags':
      return small(data.view.getBigUint64(at, true));
    case 'in':
    case 'out':
      return register(low);
    case 'maybe':
      return low === wire.noRegister ? undefined : register(low);
    case 'ins':
      return wordsAt(data, low).map(register);
    case 'text':
      return textAt(data, low);
    case 'texts':
      return wordsAt(data, low).map((offset) => textAt(data, offset));
    case 'bytes':
      return data.bytes.slice(low + 4, low + 4 + data.view.getUint32(data.start + low, true));
  }
}

/** A number where it is exact, a bigint beyond. */
function small(value: bigint): number | bigint {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

function textAt(data: Section, offset: number): string {
  return decodeUtf8(data.bytes.subarray(offset, data.bytes.indexOf(0, offset)));
}

function wordsAt({ view, start }: Section, offset: number): number[] {
  const count = view.getUint32(start + offset, true);
  return Array.from({ length: count }, (_, k) => view.getUint32(start + offset + 4 + 4 * k, true));
}
