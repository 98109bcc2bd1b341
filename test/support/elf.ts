import { readFileSync } from 'node:fs';

export interface Segment {
  readonly type: number;
  readonly flags: number;
}

/** What of an ELF file of 64 bits tells how it was linked. */
export interface Elf {
  readonly type: number;
  readonly segments: readonly Segment[];
  /** Values of the dynamic section by tag, in their order. */
  readonly dynamic: ReadonlyMap<number, readonly bigint[]>;
  /** Names that are defined elsewhere, of the dynamic symbols or, in an object file, of all. */
  readonly undefined: readonly string[];
}

export const elf = {
  executable: 2,
  shared: 3,
  load: 1,
  interpreter: 3,
  stack: 0x6474e551,
  relro: 0x6474e552,
  mayExecute: 1,
  mayWrite: 2,
  needed: 1,
  rpath: 15,
  textRelocations: 22,
  runpath: 29,
  flags: 30,
  flags1: 0x6ffffffb,
  relaSize: 8,
} as const;

const sections = { symbols: 2, dynamicSymbols: 11, dynamic: 6 } as const;

export function readElf(path: string): Elf {
  const file = readFileSync(path);
  if (file.toString('latin1', 0, 4) !== '\x7fELF') throw new Error(`${path} is no ELF file`);
  const word = (at: number) => Number(file.readBigUInt64LE(at));
  const segments = records(word(32), file.readUInt16LE(54), file.readUInt16LE(56)).map((at) => ({
    type: file.readUInt32LE(at),
    flags: file.readUInt32LE(at + 4),
    offset: word(at + 8),
    size: word(at + 32),
  }));
  const dynamic = new Map<number, bigint[]>();
  for (const { offset, size } of segments.filter(({ type }) => type === 2)) {
    for (const at of records(offset, 16, size / 16)) {
      const tag = word(at);
      if (tag === 0) break;
      dynamic.set(tag, [...(dynamic.get(tag) ?? []), file.readBigUInt64LE(at + 8)]);
    }
  }
  const headers = records(word(40), file.readUInt16LE(58), file.readUInt16LE(60));
  const undefinedNames = headers.flatMap((at) => {
    const type = file.readUInt32LE(at + 4);
    if (type !== sections.symbols && type !== sections.dynamicSymbols) return [];
    const names = word((headers[file.readUInt32LE(at + 40)] as number) + 24);
    return records(word(at + 24), 24, word(at + 32) / 24)
      .filter((symbol) => file.readUInt16LE(symbol + 6) === 0)
      .map((symbol) => text(file, names + file.readUInt32LE(symbol)))
      .filter((name) => name !== '');
  });
  return { type: file.readUInt16LE(16), segments, dynamic, undefined: undefinedNames };
}

const records = (at: number, size: number, count: number) => Array.from({ length: count }, (_, i) => at + i * size);
const text = (file: Buffer, at: number) => file.toString('utf8', at, file.indexOf(0, at));
