import { Refused } from './refused.ts';
import type { TarHeader } from './tar-header.ts';

/** The records of one pax extended header; keys and values are byte strings. */
export type PaxRecords = ReadonlyMap<string, string>;

/** Splits "LENGTH KEY=VALUE\n" records by their lengths: a value may hold any byte, newlines too. */
export function parsePax(body: Buffer): PaxRecords {
  const records = new Map<string, string>();
  let at = 0;
  while (at < body.length && body[at] !== 0) {
    const blank = body.indexOf(0x20, at);
    const digits = blank === -1 ? '' : body.toString('latin1', at, Math.min(blank, at + 12));
    const end = at + Number(digits);
    if (!/^[0-9]+$/.test(digits) || end > body.length || end <= blank + 1 || body[end - 1] !== 0x0a) {
      throw new Refused('a pax header is malformed');
    }
    const record = body.toString('latin1', blank + 1, end - 1);
    const equals = record.indexOf('=');
    if (equals < 1) throw new Refused('a pax header has a record without a key');
    records.set(record.slice(0, equals), record.slice(equals + 1));
    at = end;
  }
  return records;
}

/** Extended attributes by name; names and values are byte strings. */
export type Xattrs = ReadonlyMap<string, string>;

const xattrKey = /^(?:SCHILY|LIBARCHIVE)\.xattr\./;

/** The extended attributes among the records. */
export function xattrsOf(records: PaxRecords): Xattrs {
  const found = [...records].filter(([key]) => xattrKey.test(key));
  return new Map(found.map(([key, value]) => [key.replace(xattrKey, ''), value]));
}

type Setter = (header: TarHeader, value: string) => void;

/** What a record changes in the header it precedes; others (atime, uname, comments) change nothing here. */
const setters: Record<string, Setter> = {
  path: (header, value) => {
    header.name = value;
  },
  linkpath: (header, value) => {
    header.linkName = value;
  },
  size: (header, value) => {
    header.size = whole('size', value);
  },
  uid: (header, value) => {
    header.uid = whole('uid', value);
  },
  gid: (header, value) => {
    header.gid = whole('gid', value);
  },
  mtime: (header, value) => {
    header.mtime = seconds(value);
    header.nanoseconds = nanoseconds(value);
  },
};

/** Applies the records to the entry that follows them; an empty value takes the header's own, as POSIX has it. */
export function applyPax(header: TarHeader, records: PaxRecords): void {
  for (const [key, value] of records) {
    if (key.startsWith('GNU.sparse.')) throw new Refused('a file is stored sparse', sparseHint);
    if (value !== '' && Object.hasOwn(setters, key)) setters[key]!(header, value);
  }
}

export const sparseHint = {
  unsupported: true,
  hint: 'Make the archive again without the sparse format (GNU tar: without --sparse).',
};

/** Go and GNU tar differ on what a global header does to later entries, so one that would change them is refused. */
export function checkGlobalPax(records: PaxRecords): void {
  for (const key of records.keys()) {
    if (Object.hasOwn(setters, key) || xattrKey.test(key) || key.startsWith('GNU.sparse.')) {
      throw new Refused(`a global pax header sets "${key}", which programs read in different ways`);
    }
  }
}

function whole(key: string, value: string): number {
  const result = Number(value);
  if (!/^[0-9]{1,16}$/.test(value) || !Number.isSafeInteger(result)) {
    throw new Refused(`a pax header has a ${key} that is not a number: ${JSON.stringify(value.slice(0, 40))}`);
  }
  return result;
}

function seconds(value: string): number {
  if (!/^-?[0-9]{1,15}(?:\.[0-9]*)?$/.test(value)) {
    throw new Refused(`a pax header has an mtime that is not a number: ${JSON.stringify(value.slice(0, 40))}`);
  }
  return Number(value);
}

/** Of a time before 1970 too, the distance from the whole second before it. */
function nanoseconds(value: string): number {
  const fraction = Number((value.split('.')[1] ?? '').slice(0, 9).padEnd(9, '0'));
  return value.startsWith('-') && fraction > 0 ? 1e9 - fraction : fraction;
}
