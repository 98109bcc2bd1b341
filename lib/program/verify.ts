// The rules of a program, the same as in native/program/verify.cc: a net for bugs (of the encoder, of versions, of
// transport), not a boundary of privilege. The two files keep one order, so that both give the same first reason.
//
// ALGORITHM. One pass, no recursion, no allocation.
//
//  H. Header, with `length` the bytes received. In this order:
//      1. `length` >= 64, a multiple of 8, <= kProgramBytesMax                                    size
//      2. magic; version; schema                                                  magic, version, schema
//      3. flags have no bit but TRACE and TEST (the release init: TRACE only)                      flags
//      4. 1 <= ops <= kOpsMax; data >= 8; data a multiple of 8;
//         total == length; total == 64 + 64 * ops + data (in 64 bits)                              size
//      5. registers <= kRegistersMax; inputs <= kHandlesMax; inputs <= registers              registers
//      6. with TEST: fail_at < ops and 1 <= fail_errno <= 4095; without: both 0                  fail_at
//      7. the reserved bytes are 0                                                              reserved
//      8. the first 8 bytes of the data section are 0, and its last byte is 0                       data
//
//  F. Flow. A set of registers is 512 bits. `must[16]` and `may[16]` are rings of sets, indexed by op number modulo 16:
//     registers filled on every way, and on some way, to that op. Since a skip is <= 15, op i hands on to i + 1 .. i + 16,
//     and slot i mod 16 is free again once op i has taken its sets out. A free slot holds the neutral element:
//     must = all ones, may = all zeros. At the start slot 0 has must = may = { 0 .. inputs - 1 }.
//     flow(j, must', may'): must[j mod 16] &= must'; may[j mod 16] |= may'.
//     `landing` = the furthest op that a skip leads to so far, at first 0.
//     State of the order: reaped, pivoted, filtered, unprivileged (no_new_privs has run).
//
//     For each op i:
//      1. code < kOpCount                                                                         opcode
//      2. take (cur_must, cur_may) out of slot i mod 16 and put the neutral element back; after = cur
//      3. order (with `landing` of the ops before this one):
//          barrier ops: landing <= i and on_error == FAIL                                        barrier
//          end ops: if and only if i == ops - 1                                                      end
//          once op reap is behind: not reap, outlive, fork, await_start or next_program                 reap
//          host ops: not pivoted                                                                   pivot
//          op pivot, op move_root: not pivoted; then pivoted                                       pivot
//          any op while filtered: among `afterFilter`, or, if the filter came without no_new_privs before it, among
//          `afterEarlyFilter` too. op seccomp, op listener: filtered. op no_new_privs, not filtered, on_error FAIL:
//          unprivileged                                                                          seccomp
//      4. condition:
//          on_error == FAIL: skip == 0 and guard == 0                                          condition
//          on_error == SKIP: skip <= 15; i + 1 + skip < ops; guard is the offset of an errno set:
//            word_list(guard), 1 <= count <= 16, each 1 .. 4095. landing = max(landing, i + 1 + skip)
//                                                                                              condition
//          any other on_error                                                                  condition
//      5. operands, slots 0 .. 6 in order; a slot the op does not have: arg == 0                    slot
//          int: arg <= max                                                                           int
//          flags: (arg & ~max) == 0                                                                flags
//          in: arg < registers and in cur_must                                                  register
//          maybe: arg == kNoRegister, or as `in`                                                register
//          out: arg < registers, not in after_may; add to after_must and after_may                  fill
//          text: text(arg)                                                                          text
//          texts: word_list(arg), each text()                                                       list
//          ins: word_list(arg), each as `in`                                                list, register
//          bytes: arg a multiple of 4, 8 <= arg, arg + 4 <= data, arg + 4 + length <= data         bytes
//      6. FAIL: flow(i + 1, after). SKIP: flow(i + 1, cur) since a failed op leaves its registers unfilled, and
//         flow(i + 1 + skip, after).
//
//     word_list(o): o a multiple of 4, 8 <= o, o + 4 <= data, o + 4 + 4 * count <= data, all in 64 bits.
//     text(o): 8 <= o < data. It ends inside, because the last byte of the data section is NUL.
//
// An op that is passed over still counts for the order: a change of root and a filter are where they are.
import { condition, headerAt, type Layout, layouts, opAt, type Slot } from './layout.ts';
import { limits, wire } from './limits.ts';
import type { OpName } from './ops.ts';
import { schema } from './schema.ts';

export type Reason =
  | 'size'
  | 'magic'
  | 'version'
  | 'schema'
  | 'flags'
  | 'registers'
  | 'fail_at'
  | 'reserved'
  | 'data'
  | 'opcode'
  | 'condition'
  | 'barrier'
  | 'end'
  | 'reap'
  | 'pivot'
  | 'seccomp'
  | 'slot'
  | 'int'
  | 'register'
  | 'fill'
  | 'text'
  | 'list'
  | 'bytes';

export interface Refusal {
  /** The op that breaks a rule; -1 for the header. */
  readonly op: number;
  readonly reason: Reason;
}

/** What a reaper cannot follow: it knows one child, and the channel that they have in common. */
const notUnderReaper: ReadonlySet<OpName> = new Set([
  'reap',
  'outlive',
  'fork',
  'await_start',
  'next_program',
] as const);
/**
 * What may still run once a filter is installed, which may deny it: the hooks that it is to bind, and what follows them; and
 * the last steps of who joins a container, where the filter was seen to let them.
 */
const afterFilter: ReadonlySet<OpName> = new Set([
  'seccomp',
  'listener',
  'send_handle',
  'exec',
  'halt',
  'hook',
  'descriptors',
  'close_from',
  'rlimit',
  'chdir',
  'fork',
  'new_session',
  'controlling_terminal',
  'keep_only',
  'sync',
  'next_program',
  'serve_view',
] as const);
/** Without no_new_privs a filter needs CAP_SYS_ADMIN, so it goes before the ops that give capabilities up. */
const afterEarlyFilter: ReadonlySet<OpName> = new Set([
  'bounding',
  'ids',
  'capabilities',
  'no_new_privs',
  'death_signal',
  'chdir_again',
  'find',
] as const);

/** The first rule that a program breaks, or nothing. Never throws, whatever the bytes. */
export function verify(program: Uint8Array): Refusal | undefined {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const reason = headerReason(view);
  if (reason !== undefined) return { op: -1, reason };
  const state = start(view);
  for (let i = 0; i < state.ops; i++) {
    const refused = opReason(state, i);
    if (refused !== undefined) return { op: i, reason: refused };
  }
  return undefined;
}

function headerReason(view: DataView): Reason | undefined {
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const length = view.byteLength;
  if (length < wire.headerBytes || length % 8 !== 0 || length > limits.programBytesMax) return 'size';
  if (u32(headerAt.magic) !== wire.magic) return 'magic';
  if (u16(headerAt.version) !== wire.version) return 'version';
  if (u32(headerAt.schemaLow) !== schema().low || u32(headerAt.schemaHigh) !== schema().high) return 'schema';
  const flags = u16(headerAt.flags);
  if ((flags & ~(wire.flagTrace | wire.flagTest)) !== 0) return 'flags';
  const ops = u32(headerAt.ops);
  const data = u32(headerAt.data);
  if (ops < 1 || ops > limits.opsMax || data < 8 || data % 8 !== 0 || u32(headerAt.total) !== length) return 'size';
  const dataStart = wire.headerBytes + ops * wire.opBytes;
  if (length !== dataStart + data) return 'size';
  const registers = u16(headerAt.registers);
  const inputs = u16(headerAt.inputs);
  if (registers > limits.registersMax || inputs > limits.handlesMax || inputs > registers) return 'registers';
  const failAt = u32(headerAt.failAt);
  const errno = u32(headerAt.failErrno);
  const valid = flags & wire.flagTest ? failAt < ops && errno >= 1 && errno <= 4095 : failAt === 0 && errno === 0;
  if (!valid) return 'fail_at';
  for (let at = headerAt.reserved; at < wire.headerBytes; at++) if (view.getUint8(at) !== 0) return 'reserved';
  if (u32(dataStart) !== 0 || u32(dataStart + 4) !== 0 || view.getUint8(length - 1) !== 0) return 'data';
  return undefined;
}

const ring = condition.skipMax + 1;
const words = limits.registersMax / 32;
type RegisterSet = Uint32Array;
const emptySet = (): RegisterSet => new Uint32Array(words);
const has = (set: RegisterSet, register: number) => ((set[register >> 5] as number) & (1 << (register & 31))) !== 0;
const add = (set: RegisterSet, register: number) => {
  set[register >> 5] = (set[register >> 5] as number) | (1 << (register & 31));
};

/** What is known on the way to one op: registers filled on every way to it, and on some way. */
interface Known {
  readonly must: RegisterSet;
  readonly may: RegisterSet;
}

const copy = ({ must, may }: Known): Known => ({ must: must.slice(), may: may.slice() });

interface State {
  readonly view: DataView;
  readonly ops: number;
  readonly registers: number;
  readonly dataStart: number;
  readonly data: number;
  readonly ring: readonly Known[];
  landing: number;
  reaped: boolean;
  pivoted: boolean;
  unprivileged: boolean;
  allowed: 'all' | 'afterFilter' | 'afterEarlyFilter';
}

function start(view: DataView): State {
  const ops = view.getUint32(headerAt.ops, true);
  const known: Known[] = [];
  for (let i = 0; i < ring; i++) known.push({ must: emptySet().fill(0xffffffff), may: emptySet() });
  const first = known[0] as Known;
  first.must.fill(0);
  for (let i = view.getUint16(headerAt.inputs, true) - 1; i >= 0; i--) {
    add(first.must, i);
    add(first.may, i);
  }
  return {
    view,
    ops,
    registers: view.getUint16(headerAt.registers, true),
    dataStart: wire.headerBytes + ops * wire.opBytes,
    data: view.getUint32(headerAt.data, true),
    ring: known,
    landing: 0,
    reaped: false,
    pivoted: false,
    unprivileged: false,
    allowed: 'all',
  };
}

function opReason(state: State, i: number): Reason | undefined {
  const { view } = state;
  const at = wire.headerBytes + i * wire.opBytes;
  const layout = layouts[view.getUint16(at + opAt.code, true)];
  if (layout === undefined) return 'opcode';
  const here = state.ring[i % ring] as Known;
  const before = copy(here);
  here.must.fill(0xffffffff);
  here.may.fill(0);
  const after = copy(before);

  const skips = view.getUint8(at + opAt.onError) !== 0;
  const reason = orderReason(state, i, layout, skips) ?? conditionReason(state, i, at);
  if (reason !== undefined) return reason;
  for (let s = 0; s < wire.slots; s++) {
    const refused = slotReason(state, layout.slots[s], at + opAt.args + 8 * s, before, after);
    if (refused !== undefined) return refused;
  }
  flow(state, i + 1, skips ? before : after);
  if (skips) flow(state, i + 1 + view.getUint8(at + opAt.skip), after);
  return undefined;
}

function flow(state: State, to: number, known: Known): void {
  const { must, may } = state.ring[to % ring] as Known;
  for (let w = 0; w < words; w++) {
    must[w] = (must[w] as number) & (known.must[w] as number);
    may[w] = (may[w] as number) | (known.may[w] as number);
  }
}

function orderReason(state: State, i: number, layout: Layout, skips: boolean): Reason | undefined {
  const { name } = layout;
  if (layout.barrier && (state.landing > i || skips)) return 'barrier';
  if (layout.end !== (i === state.ops - 1)) return 'end';
  if (state.reaped && notUnderReaper.has(name)) return 'reap';
  if (name === 'reap') state.reaped = true;
  const pivots = name === 'pivot' || name === 'move_root';
  if (state.pivoted && (layout.host || pivots)) return 'pivot';
  if (pivots) state.pivoted = true;
  if (!isAllowed(state.allowed, name)) return 'seccomp';
  if (state.allowed !== 'all') return undefined;
  if (name === 'seccomp' || name === 'listener')
    state.allowed = state.unprivileged ? 'afterFilter' : 'afterEarlyFilter';
  if (name === 'no_new_privs' && !skips) state.unprivileged = true;
  return undefined;
}

function isAllowed(allowed: State['allowed'], name: OpName): boolean {
  if (allowed === 'all' || afterFilter.has(name)) return true;
  return allowed === 'afterEarlyFilter' && afterEarlyFilter.has(name);
}

function conditionReason(state: State, i: number, at: number): Reason | undefined {
  const { view, dataStart } = state;
  const onError = view.getUint8(at + opAt.onError);
  const skip = view.getUint8(at + opAt.skip);
  const guard = view.getUint32(at + opAt.guard, true);
  if (onError === 0) return skip === 0 && guard === 0 ? undefined : 'condition';
  if (onError !== 1 || skip > condition.skipMax || i + 1 + skip >= state.ops) return 'condition';
  const count = wordList(state, guard);
  if (count === undefined || count < 1 || count > condition.errnosMax) return 'condition';
  for (let k = 1; k <= count; k++) {
    const errno = view.getUint32(dataStart + guard + 4 * k, true);
    if (errno < 1 || errno > 4095) return 'condition';
  }
  state.landing = Math.max(state.landing, i + 1 + skip);
  return undefined;
}

function slotReason(s: State, slot: Slot | undefined, at: number, before: Known, after: Known): Reason | undefined {
  const { view, dataStart } = s;
  const low = view.getUint32(at, true);
  const high = view.getUint32(at + 4, true);
  if (slot === undefined) return high === 0 && low === 0 ? undefined : 'slot';
  const isFilled = (register: number) => register < s.registers && has(before.must, register);
  switch (slot.kind) {
    case 'int':
      return high < slot.maxHigh || (high === slot.maxHigh && low <= slot.maxLow) ? undefined : 'int';
    case 'flags':
      return (high & ~slot.maxHigh) === 0 && (low & ~slot.maxLow) === 0 ? undefined : 'flags';
    case 'in':
      return high === 0 && isFilled(low) ? undefined : 'register';
    case 'maybe':
      return high === 0 && (low === wire.noRegister || isFilled(low)) ? undefined : 'register';
    case 'out':
      if (high !== 0 || low >= s.registers || has(after.may, low)) return 'fill';
      add(after.must, low);
      add(after.may, low);
      return undefined;
    case 'text':
      return high === 0 && isText(s, low) ? undefined : 'text';
    case 'texts':
    case 'ins': {
      const count = high === 0 ? wordList(s, low) : undefined;
      if (count === undefined) return 'list';
      for (let k = 1; k <= count; k++) {
        const word = view.getUint32(dataStart + low + 4 * k, true);
        if (slot.kind === 'texts' && !isText(s, word)) return 'list';
        if (slot.kind === 'ins' && !isFilled(word)) return 'register';
      }
      return undefined;
    }
    case 'bytes':
      return high === 0 && isBlob(s, low) ? undefined : 'bytes';
  }
}

const isText = (state: State, offset: number) => offset >= 8 && offset < state.data;

const isCounted = ({ data }: State, offset: number) => offset % 4 === 0 && offset >= 8 && offset + 4 <= data;

/** How many words a list has; nothing when it is not one. */
function wordList(state: State, offset: number): number | undefined {
  if (!isCounted(state, offset)) return undefined;
  const count = state.view.getUint32(state.dataStart + offset, true);
  return offset + 4 + 4 * count <= state.data ? count : undefined;
}

function isBlob(state: State, offset: number): boolean {
  if (!isCounted(state, offset)) return false;
  return offset + 4 + state.view.getUint32(state.dataStart + offset, true) <= state.data;
}
