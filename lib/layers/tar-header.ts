import { Refused } from './refused.ts';

export const blockBytes = 512;

/** A header block as it stands; names are byte strings, one character (0-255) a byte, for they need not be UTF-8. */
export interface TarHeader {
  name: string;
  linkName: string;
  /** The type flag's character. */
  readonly type: string;
  readonly mode: number;
  uid: number;
  gid: number;
  size: number;
  /** Seconds since 1970; may be negative. */
  mtime: number;
  /** What the time has beyond whole seconds, exactly. */
  nanoseconds: number;
  readonly major: number;
  readonly minor: number;
}

const field = {
  name: [0, 100],
  mode: [100, 8],
  uid: [108, 8],
  gid: [116, 8],
  size: [124, 12],
  mtime: [136, 12],
  checksum: [148, 8],
  type: [156, 1],
  linkName: [157, 100],
  magic: [257, 8],
  major: [329, 8],
  minor: [337, 8],
  prefix: [345, 155],
} as const satisfies Record<string, readonly [number, number]>;

type Field = readonly [offset: number, length: number];

export function isZeroBlock(block: Buffer, at: number): boolean {
  for (let i = at; i < at + blockBytes; i++) if (block[i] !== 0) return false;
  return true;
}

/** Decodes the block at `at`; refuses a wrong checksum and numbers that are not numbers. */
export function decodeHeader(block: Buffer, at: number): TarHeader {
  checkSum(block, at);
  const name = text(block, at, field.name);
  const type = String.fromCharCode(block[at + field.type[0]]!);
  const isDevice = type === '3' || type === '4';
  const prefix = block.toString('latin1', at + 257, at + 263) === 'ustar\0' ? text(block, at, field.prefix) : '';
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    linkName: text(block, at, field.linkName),
    type,
    mode: count(block, at, field.mode, 'mode') & 0o7777,
    uid: count(block, at, field.uid, 'user id'),
    gid: count(block, at, field.gid, 'group id'),
    size: count(block, at, field.size, 'size'),
    mtime: number(block, at, field.mtime, 'time'),
    nanoseconds: 0,
    major: isDevice ? count(block, at, field.major, 'device number') : 0,
    minor: isDevice ? count(block, at, field.minor, 'device number') : 0,
  };
}

function checkSum(block: Buffer, at: number): void {
  let unsigned = 8 * 0x20;
  let high = 0;
  for (let i = 0; i < blockBytes; i++) {
    if (i === field.checksum[0]) i += field.checksum[1];
    const byte = block[at + i]!;
    unsigned += byte;
    high += byte >> 7;
  }
  const expected = number(block, at, field.checksum, 'checksum');
  // Old tars summed signed characters.
  if (expected !== unsigned && expected !== unsigned - 256 * high) {
    throw new Refused('a tar header has a wrong checksum: it is damaged, or this is not a tar archive');
  }
}

function text(block: Buffer, at: number, [offset, length]: Field): string {
  const start = at + offset;
  let end = start;
  while (end < start + length && block[end] !== 0) end++;
  return block.toString('latin1', start, end);
}

function count(block: Buffer, at: number, where: Field, what: string): number {
  const value = number(block, at, where, what);
  if (value < 0) throw new Refused(`a tar header has a negative ${what}`);
  return value;
}

/** Octal digits padded by blanks or NULs, or, with the top bit set, a big-endian two's complement (GNU). */
function number(block: Buffer, at: number, where: Field, what: string): number {
  const [offset, length] = where;
  const start = at + offset;
  if ((block[start]! & 0x80) !== 0) return binaryNumber(block, start, length, what);
  let value = 0;
  let i = start;
  const end = start + length;
  while (i < end && (block[i] === 0x20 || block[i] === 0)) i++;
  for (; i < end && block[i] !== 0x20 && block[i] !== 0; i++) {
    const digit = block[i]! - 0x30;
    if (digit < 0 || digit > 7) throw new Refused(`a tar header has a ${what} that is not a number`);
    value = value * 8 + digit;
  }
  return value;
}

function binaryNumber(block: Buffer, start: number, length: number, what: string): number {
  const negative = (block[start]! & 0x40) !== 0;
  let value = BigInt(block[start]! & 0x3f);
  for (let i = start + 1; i < start + length; i++) value = value * 256n + BigInt(block[i]!);
  if (negative) value -= 1n << BigInt(length * 8 - 2);
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw new Refused(`a tar header has a ${what} out of range`);
  return result;
}
