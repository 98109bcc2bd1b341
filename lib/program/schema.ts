import { type OpRow, opNames, ops, steps } from './ops.ts';

/** A 64-bit number as two halves: cheaper to hash and to write than a bigint. */
export interface Schema {
  readonly high: number;
  readonly low: number;
}

/** The text that the schema is a hash of: all of the table that both sides must agree on, and no prose. */
export function schemaText(): string {
  const lines = opNames.map((name) => {
    const row: OpRow = ops[name];
    const operands = Object.entries(row.operands).map(([key, { kind, max = 0n }]) => `${key}:${kind}:${max}`);
    const marks = `${row.host ? 'h' : ''}${row.barrier ? 'b' : ''}${row.end ? 'e' : ''}`;
    return [name, marks, ...operands].join(' ');
  });
  return [...lines, steps.join(' '), ''].join('\n');
}

let known: Schema | undefined;

/** The hash that tells encoder and init that they were made from the same table (in every program's header). */
export function schema(): Schema {
  known ??= fnv1a(schemaText());
  return known;
}

/** The schema as C++ and people write it: `0x` and sixteen digits. */
export function schemaHex({ high, low }: Schema): string {
  const digits = (half: number) => half.toString(16).padStart(8, '0');
  return `0x${digits(high)}${digits(low)}`;
}

/** FNV-1a of an ASCII text. The prime is 2^40 + 0x1b3, so a multiplication is two small ones and a shift. */
function fnv1a(text: string): Schema {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (let i = 0; i < text.length; i++) {
    low = (low ^ text.charCodeAt(i)) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + (low << 8) + Math.floor(product / 0x100000000)) >>> 0;
    low = product >>> 0;
  }
  return { high, low };
}
