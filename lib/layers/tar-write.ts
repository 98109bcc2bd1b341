import type { TreeEntryType } from './tree-reader.ts';

/** An entry as an archive has it. Texts are byte strings. */
export interface TarMember {
  /** Relative, without a slash at its end. */
  readonly name: string;
  readonly type: Exclude<TreeEntryType, 'socket'> | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly nanoseconds: number;
  readonly size: number;
  /** Of a link of either kind. */
  readonly target: string;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: ReadonlyMap<string, string>;
}

const blockBytes = 512;
const flags = { file: '0', link: '1', symlink: '2', character: '3', block: '4', directory: '5', fifo: '6' } as const;

/** What two zero blocks say: that it ends here. */
export const tarEnd = Buffer.alloc(2 * blockBytes);

/** What comes after so many bytes of content. */
export function tarPadding(size: number): Buffer {
  return Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
}

/** The header of a member, with a pax header before it for what it has no room for (POSIX.1-2001). */
export function tarHeader(member: TarMember): Buffer {
  const name = member.type === 'directory' ? `${member.name}/` : member.name;
  const rows = paxRows(member, name);
  const ustar = header({ ...member, name });
  if (rows.length === 0) return ustar;
  const body = Buffer.from(rows.map(([key, value]) => paxRow(key, value)).join(''), 'latin1');
  const pax = { ...plain, name: 'pax', type: 'x', size: body.length } as const;
  return Buffer.concat([header(pax), body, tarPadding(body.length), ustar]);
}

const plain = { mode: 0o644, uid: 0, gid: 0, mtime: 0, target: '', major: 0, minor: 0 };

const nameBytes = 100;
const idMax = 8 ** 7 - 1;
const numberMax = 8 ** 11 - 1;

function paxRows(member: TarMember, name: string): (readonly [key: string, value: string])[] {
  const { target, size, uid, gid, mtime, nanoseconds, xattrs } = member;
  const rows: (readonly [string, string])[] = [];
  if (name.length > nameBytes) rows.push(['path', name]);
  if (target.length > nameBytes) rows.push(['linkpath', target]);
  if (size > numberMax) rows.push(['size', String(size)]);
  if (uid > idMax) rows.push(['uid', String(uid)]);
  if (gid > idMax) rows.push(['gid', String(gid)]);
  if (mtime < 0 || mtime > numberMax || nanoseconds > 0) rows.push(['mtime', seconds(mtime, nanoseconds)]);
  for (const [key, value] of [...xattrs].sort()) rows.push([`SCHILY.xattr.${key}`, value]);
  return rows;
}

const billion = 1_000_000_000n;

/** In decimals, as exact as it is. */
function seconds(whole: number, nanoseconds: number): string {
  const all = BigInt(whole) * billion + BigInt(nanoseconds);
  const size = all < 0n ? -all : all;
  const rest = size % billion;
  const fraction = rest === 0n ? '' : `.${String(rest).padStart(9, '0').replace(/0+$/, '')}`;
  return `${all < 0n ? '-' : ''}${size / billion}${fraction}`;
}

/** A row says how long it is, the number itself included. */
function paxRow(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

interface Header extends Omit<TarMember, 'type' | 'xattrs' | 'nanoseconds'> {
  readonly type: TarMember['type'] | 'x';
}

function header({ name, type, mode, uid, gid, size, mtime, target, major, minor }: Header): Buffer {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, length: number): void =>
    void block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  block.write(name, 0, nameBytes, 'latin1');
  octal(mode, 100, 8);
  // What does not fit stands in the pax header, and here something that does.
  octal(uid > idMax ? 0 : uid, 108, 8);
  octal(gid > idMax ? 0 : gid, 116, 8);
  octal(size > numberMax ? 0 : size, 124, 12);
  octal(mtime < 0 || mtime > numberMax ? 0 : mtime, 136, 12);
  block.write(type === 'x' ? 'x' : flags[type], 156, 'latin1');
  block.write(target, 157, nameBytes, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  octal(major, 329, 8);
  octal(minor, 337, 8);
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
