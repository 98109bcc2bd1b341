import { type Kind, type OpName, type OpRow, opNames, ops } from './ops.ts';

/** One slot of an op on the wire; the maximum as two halves, since bigint arithmetic is slow in a loop. */
export interface Slot {
  readonly name: string;
  readonly kind: Kind;
  readonly max: bigint;
  readonly maxHigh: number;
  readonly maxLow: number;
}

/** An op as the encoder, the decoder and the verifier see it: its number, its slots in order, its marks. */
export interface Layout {
  readonly name: OpName;
  readonly code: number;
  readonly slots: readonly Slot[];
  readonly host: boolean;
  readonly barrier: boolean;
  readonly end: boolean;
  /** Whether a slot is a register that it fills. */
  readonly fills: boolean;
}

/** The table of ops by opcode. */
export const layouts: readonly Layout[] = opNames.map((name, code) => {
  const row: OpRow = ops[name];
  return {
    name,
    code,
    slots: Object.entries(row.operands).map(([key, { kind, max = 0n }]) => ({
      name: key,
      kind,
      max,
      maxHigh: Number(max >> 32n),
      maxLow: Number(max & 0xffffffffn),
    })),
    host: row.host === true,
    barrier: row.barrier === true,
    end: row.end === true,
    fills: Object.values(row.operands).some(({ kind }) => kind === 'out'),
  };
});

const byName: ReadonlyMap<string, Layout> = new Map(layouts.map((layout) => [layout.name, layout]));

/** The layout of an op by name; nothing for a name that is not in the table. */
export function layoutOf(name: string): Layout | undefined {
  return byName.get(name);
}

/** Where each field of the header is (native/program/format.h). */
export const headerAt = {
  magic: 0,
  version: 4,
  flags: 6,
  schemaLow: 8,
  schemaHigh: 12,
  total: 16,
  ops: 20,
  data: 24,
  registers: 28,
  inputs: 30,
  failAt: 32,
  failErrno: 36,
  reserved: 40,
} as const;

/** Where each field of an op's record is. */
export const opAt = { code: 0, onError: 2, skip: 3, guard: 4, args: 8 } as const;

/** The bounds of an op's condition: `unless` and `skip`. */
export const condition = {
  /** The verifier keeps one set of registers for each op that a jump can still reach: 16 of them. */
  skipMax: 15,
  errnosMax: 16,
} as const;
