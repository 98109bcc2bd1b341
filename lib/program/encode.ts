import { RuntsError } from '../errors.ts';
import { Data } from './data.ts';
import { errnoNumber } from './errno.ts';
import { condition, headerAt, layoutOf, opAt, type Slot } from './layout.ts';
import { limits, wire } from './limits.ts';
import type { Op } from './ops.ts';
import { badValue, broken, tooBig, tooMany } from './refused.ts';
import { Registers } from './registers.ts';
import { schema } from './schema.ts';

/** What is encoded: a Segment of lib/plan/plan.ts, and what a Builder gives. */
export interface Encodable {
  /** Registers that are filled before the first op, in the order of the handles sent. */
  readonly inputs: readonly string[];
  readonly ops: readonly Op[];
}

export interface EncodeOptions {
  /** The init reports the time of each op by a TRACE frame. */
  readonly trace?: boolean;
  /** The op of this number fails, without having run: for tests. */
  readonly failAt?: number;
  /** The errno it fails with; 5 (EIO) unless given. */
  readonly failErrno?: number;
}

/**
 * A segment as the init reads it. Ops over a limit, and values that a configuration can get wrong (a NUL in an argument,
 * a number out of range), are ERR_SPEC with the op's origin; a malformed op is ERR_INTERNAL.
 * That a register is filled on every way to its use is left to `verify`.
 */
export function encode(segment: Encodable, options: EncodeOptions = {}): Uint8Array {
  const { inputs, ops } = segment;
  if (ops.length === 0) throw new RuntsError('ERR_INTERNAL', 'a program without ops');
  if (ops.length > limits.opsMax) throw tooMany('ops', limits.opsMax, ops[limits.opsMax]);

  const recordsEnd = wire.headerBytes + ops.length * wire.opBytes;
  const data = new Data(limits.programBytesMax - recordsEnd, () => tooBig(state.op));
  const state: State = { op: ops[0] as Op, index: 0, segment, registers: new Registers(inputs), data };
  const records = new Uint8Array(recordsEnd);
  const view = new DataView(records.buffer);
  let at: number = wire.headerBytes;
  for (let i = 0; i < ops.length; i++) {
    state.op = ops[i] as Op;
    state.index = i;
    writeOp(view, at, state);
    at += wire.opBytes;
  }

  const section = data.finish();
  const { count } = state.registers;
  writeHeader(view, options, { ops: ops.length, data: section.length, registers: count, inputs: inputs.length });
  const program = new Uint8Array(recordsEnd + section.length);
  program.set(records);
  program.set(section, recordsEnd);
  return program;
}

/** What the encoder carries from op to op. */
interface State {
  op: Op;
  index: number;
  readonly data: Data;
  readonly segment: Encodable;
  readonly registers: Registers;
}

interface Counts {
  readonly ops: number;
  readonly data: number;
  readonly registers: number;
  readonly inputs: number;
}

function writeHeader(view: DataView, options: EncodeOptions, counts: Counts): void {
  const test = options.failAt !== undefined;
  const flags = (options.trace ? wire.flagTrace : 0) | (test ? wire.flagTest : 0);
  const { high, low } = schema();
  view.setUint32(headerAt.magic, wire.magic, true);
  view.setUint16(headerAt.version, wire.version, true);
  view.setUint16(headerAt.flags, flags, true);
  view.setUint32(headerAt.schemaLow, low, true);
  view.setUint32(headerAt.schemaHigh, high, true);
  view.setUint32(headerAt.total, view.byteLength + counts.data, true);
  view.setUint32(headerAt.ops, counts.ops, true);
  view.setUint32(headerAt.data, counts.data, true);
  view.setUint16(headerAt.registers, counts.registers, true);
  view.setUint16(headerAt.inputs, counts.inputs, true);
  if (!test) return;
  const { failAt = 0, failErrno = 5 } = options;
  if (!isWithin(failAt, counts.ops - 1)) throw new RuntsError('ERR_INTERNAL', `failAt ${failAt} is not an op`);
  if (!isWithin(failErrno, 4095) || failErrno === 0) throw new RuntsError('ERR_INTERNAL', `failErrno ${failErrno}`);
  view.setUint32(headerAt.failAt, failAt, true);
  view.setUint32(headerAt.failErrno, failErrno, true);
}

function writeOp(view: DataView, at: number, state: State): void {
  const { op } = state;
  const layout = layoutOf(op.op);
  if (layout === undefined) throw broken(op, 'is not in the table of ops');
  if (layout.end !== (state.index === state.segment.ops.length - 1)) {
    throw broken(op, layout.end ? 'ends the program early' : 'is last but does not end the program');
  }
  view.setUint16(at + opAt.code, layout.code, true);
  if (op.unless !== undefined) {
    if (layout.end) throw broken(op, 'is last and must not be passed over');
    if (layout.barrier) throw broken(op, 'is a barrier and must not be passed over');
    writeGuard(view, at, op.unless, state);
  } else if (op.skip) throw broken(op, 'has a skip without `unless`: what it skips could never run');

  const operands = op.operands as Readonly<Record<string, unknown>>;
  const { slots } = layout;
  let args = at + opAt.args;
  for (let i = 0; i < slots.length; i++, args += 8) {
    const slot = slots[i] as Slot;
    if (slot.kind !== 'out') writeOperand(view, args, slot, operands[slot.name], state);
  }
  // Uses before definitions: an op never reads what it writes itself.
  if (!layout.fills) return;
  args = at + opAt.args;
  for (let i = 0; i < slots.length; i++, args += 8) {
    const slot = slots[i] as Slot;
    if (slot.kind !== 'out') continue;
    view.setUint32(args, state.registers.define(operands[slot.name], op, state.index), true);
  }
}

function writeGuard(view: DataView, at: number, unless: readonly string[], state: State): void {
  const { op, index, segment } = state;
  const skip = op.skip ?? 0;
  if (unless.length < 1 || unless.length > condition.errnosMax) throw broken(op, `has ${unless.length} errnos`);
  if (!isWithin(skip, condition.skipMax)) throw broken(op, `skips ${skip} ops; it may skip ${condition.skipMax}`);
  if (index + skip >= segment.ops.length - 1) throw broken(op, `skips ${skip} ops, past the last one`);
  for (let i = index + 1; i <= index + skip; i++) {
    const over = segment.ops[i] as Op;
    if (layoutOf(over.op)?.barrier) throw broken(op, `skips over ${over.op}, a barrier`);
  }
  view.setUint8(at + opAt.onError, 1);
  view.setUint8(at + opAt.skip, skip);
  view.setUint32(at + opAt.guard, state.data.set(unless.map(errnoNumber)), true);
}

function writeOperand(view: DataView, at: number, slot: Slot, value: unknown, state: State): void {
  const { op, data, registers } = state;
  switch (slot.kind) {
    case 'int':
    case 'flags':
      writeNumber(view, at, slot, value, op);
      return;
    case 'in':
      view.setUint32(at, registers.use(value, slot, op), true);
      return;
    case 'maybe':
      view.setUint32(at, value === undefined ? wire.noRegister : registers.use(value, slot, op), true);
      return;
    case 'ins':
      view.setUint32(at, data.words(list(value, slot, op).map((name) => registers.use(name, slot, op))), true);
      return;
    case 'text':
      view.setUint32(at, data.text(checkText(value, slot, op)), true);
      return;
    case 'texts':
      view.setUint32(at, data.words(list(value, slot, op).map((one) => data.text(checkText(one, slot, op)))), true);
      return;
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw broken(op, `has no bytes in ${slot.name}`);
      view.setUint32(at, data.blob(value), true);
      return;
    case 'out':
      return;
  }
}

function writeNumber(view: DataView, at: number, slot: Slot, value: unknown, op: Op): void {
  // Most are small.
  if (typeof value === 'number' && value >>> 0 === value && fits(slot, value)) {
    view.setUint32(at, value, true);
    return;
  }
  const [high, low] = halves(value, slot, op);
  const within =
    slot.kind === 'flags'
      ? (high & ~slot.maxHigh) === 0 && (low & ~slot.maxLow) === 0
      : high < slot.maxHigh || (high === slot.maxHigh && low <= slot.maxLow);
  if (!within) {
    const bound = slot.kind === 'flags' ? `bits outside 0x${slot.max.toString(16)}` : `a limit of ${slot.max}`;
    throw badValue(op, `${slot.name} is ${value}, with ${bound}`);
  }
  view.setUint32(at, low, true);
  view.setUint32(at + 4, high, true);
}

/** Whether 32 bits are within the bounds. */
const fits = ({ kind, maxHigh, maxLow }: Slot, value: number): boolean =>
  kind === 'flags' ? (value & ~maxLow) === 0 : maxHigh > 0 || value <= maxLow;

const u64Max = (1n << 64n) - 1n;

function halves(value: unknown, slot: Slot, op: Op): readonly [high: number, low: number] {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) {
    return [Math.floor(value / 0x100000000), value >>> 0];
  }
  if (typeof value === 'bigint' && value >= 0n && value <= u64Max) {
    return [Number(value >> 32n), Number(value & 0xffffffffn)];
  }
  throw badValue(op, `${slot.name} is ${String(value)}, which is not a whole number from 0 to 2^64 - 1`);
}

function checkText(value: unknown, slot: Slot, op: Op): string {
  if (typeof value !== 'string') throw broken(op, `has no text in ${slot.name}`);
  if (value.includes('\0')) throw badValue(op, `${slot.name} has a NUL character in ${JSON.stringify(value)}`);
  return value;
}

function list(value: unknown, slot: Slot, op: Op): readonly unknown[] {
  if (!Array.isArray(value)) throw broken(op, `has no list in ${slot.name}`);
  return value;
}

const isWithin = (value: number, max: number) => Number.isInteger(value) && value >= 0 && value <= max;
