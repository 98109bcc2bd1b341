// The reader of layers against the programs that write them, and against archives that are damaged.
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { Header, type HeaderData, Pax } from 'tar';
import { expect, test } from 'vitest';
import { Refused } from '../../lib/layers/refused.ts';
import { type TarEntry, TarReader } from '../../lib/layers/tar.ts';
import { type Member, tar } from '../support/archives.ts';
import { runs, runsAt } from './runs.ts';

interface Read {
  readonly entry: TarEntry;
  content: string;
}

/** Everything in an archive, fed in pieces of `size` bytes; events without end are an error. */
function readAll(bytes: Buffer, size = bytes.length): Read[] {
  const reader = new TarReader();
  const found: Read[] = [];
  let events = 0;
  for (let at = 0; at < bytes.length; at += size) {
    reader.feed(bytes.subarray(at, at + size));
    for (let event = reader.next(); event !== undefined; event = reader.next()) {
      if (events++ > 3 * bytes.length) throw new Error('more events than bytes');
      if (event.kind === 'entry') found.push({ entry: event.entry, content: '' });
      if (event.kind === 'data') found.at(-1)!.content += event.bytes.toString('latin1');
    }
  }
  reader.finish();
  return found;
}

const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

test('what the package tar writes is what is read, with long names and times in pax headers', () => {
  const name = fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 12 });
  const member = fc.record({
    path: name.map((parts) => parts.map((part) => part.replace(/[/\0]/g, '_')).join('/')),
    content: fc.uint8Array({ maxLength: 1100 }),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.integer({ min: 0, max: 2 ** 33 }),
    gid: fc.integer({ min: 0, max: 2 ** 33 }),
    // Beyond these the package cannot write them.
    milliseconds: fc.integer({ min: 0, max: 8 * 10 ** 12 }),
  });
  const pack = ({ content, milliseconds, ...rest }: Parameters<Parameters<typeof member.map>[0]>[0]) => {
    const data: HeaderData = { ...rest, size: content.length, mtime: new Date(milliseconds), type: 'File' };
    const header = new Header(data);
    const needsPax = header.encode();
    const pax = needsPax ? new Pax({ ...rest, size: content.length, mtime: new Date(milliseconds) }).encode() : [];
    const padding = Buffer.alloc((512 - (content.length % 512)) % 512);
    return Buffer.concat([Buffer.from(pax as Uint8Array), header.block as Buffer, content, padding]);
  };
  fc.assert(
    fc.property(fc.array(member, { maxLength: 4 }), fc.integer({ min: 1, max: 1500 }), (members, size) => {
      const found = readAll(Buffer.concat([...members.map(pack), Buffer.alloc(1024)]), size);
      expect(
        found.map(({ entry, content }) => ({
          name: entry.name,
          mode: entry.mode,
          uid: entry.uid,
          gid: entry.gid,
          seconds: Math.floor(entry.mtime),
          content,
        })),
      ).toEqual(
        members.map(({ path, content, mode, uid, gid, milliseconds }) => ({
          name: latin1(path),
          mode,
          uid,
          gid,
          seconds: Math.floor(milliseconds / 1000),
          content: Buffer.from(content).toString('latin1'),
        })),
      );
    }),
    runs(150),
  );
});

const isRoot = process.getuid?.() === 0;

/** What there may be in a directory; a link is one to the file before it. */
const thing = fc.record({
  name: fc.oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
    fc.integer({ min: 90, max: 250 }).map((length) => 'n'.repeat(length)),
  ),
  type: fc.constantFrom('file', 'file', 'directory', 'symlink', 'link'),
  content: fc.uint8Array({ maxLength: 1030 }),
  target: fc.oneof(
    fc.constantFrom('/x', '..'),
    fc.integer({ min: 1, max: 300 }).map((length) => 't'.repeat(length)),
  ),
  seconds: fc.integer({ min: -(2 ** 33), max: 2 ** 33 }),
  owner: fc.integer({ min: 0, max: 0xffff_fffe }),
});
type Thing = Parameters<Parameters<typeof thing.map>[0]>[0];

function make(directory: string, things: readonly Thing[]): void {
  let here = directory;
  let file: string | undefined;
  for (const { name, type, content, target, seconds, owner } of things) {
    const bare = name.replace(/[/\0]/g, '_');
    const path = join(here, bare === '.' || bare === '..' || Buffer.byteLength(bare) > 250 ? 'dots' : bare);
    try {
      lstatSync(path);
      continue;
    } catch {}
    if (type === 'directory') mkdirSync(path);
    else if (type === 'symlink') symlinkSync(target, path);
    else if (type === 'link' && file !== undefined) linkSync(file, path);
    else writeFileSync(path, content);
    if (type === 'file') file = path;
    if (isRoot && type === 'file') chownSync(path, owner, owner);
    if (type === 'file' || type === 'symlink') lutimesSync(path, seconds, seconds);
    if (type === 'directory') here = path;
  }
}

/** A directory as an archive of it should read: each path once. */
function look(directory: string, below = '.'): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const item of readdirSync(directory, { withFileTypes: true })) {
    const [path, name] = [join(directory, item.name), `${below}/${item.name}`];
    const { uid, gid, mtimeMs, mode } = lstatSync(path);
    const common = { uid, gid, mode: mode & 0o7777, seconds: Math.floor(mtimeMs / 1000) };
    if (item.isDirectory()) Object.assign(found, { [latin1(name)]: { uid, gid } }, look(path, name));
    else if (item.isSymbolicLink()) found[latin1(name)] = { ...common, link: readlinkSync(path) };
    else found[latin1(name)] = { ...common, content: readFileSync(path).toString('latin1') };
  }
  return found;
}

/** What an archive has, with hard links as the files that they are. */
function told(archive: Buffer): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const { entry, content } of readAll(archive)) {
    const { type, linkName, uid, gid, mode, mtime } = entry;
    const name = entry.name.replace(/\/$/, '');
    const common = { uid, gid, mode, seconds: Math.floor(mtime) };
    if (name === '.') continue;
    if (type === 'directory') found[name] = { uid, gid };
    else if (type === 'link') found[name] = found[linkName];
    else
      found[name] =
        type === 'symlink' ? { ...common, link: Buffer.from(linkName, 'latin1').toString() } : { ...common, content };
  }
  return found;
}

test('what GNU tar writes of a directory, in each of its formats, is that directory', () => {
  fc.assert(
    fc.property(
      fc.array(thing, { maxLength: 8 }),
      fc.constantFrom('v7', 'oldgnu', 'gnu', 'ustar', 'posix'),
      (things, format) => {
        const directory = mkdtempSync(join(tmpdir(), 'runts-tar-'));
        try {
          make(directory, things);
          const { status, stdout } = spawnSync('tar', [`--format=${format}`, '-C', directory, '-cf', '-', '.']);
          // A name or a number that the format has no room for.
          if (status !== 0) return;
          expect(told(stdout)).toEqual(look(directory));
        } finally {
          rmSync(directory, { recursive: true });
        }
      },
    ),
    runsAt(50, 25),
  );
});

/** An archive with all that an archive of ours may have, and lies that a checksum covers. */
const members = fc.array(
  fc.record<Member>(
    {
      name: fc.constantFrom('a', 'd/', 'd/f', '/a', '../x', 'é', 'x'.repeat(100)),
      type: fc.constantFrom('0', '0', '\0', '1', '2', '3', '5', '6', '7', 'x', 'g', 'L', 'K', 'S', 'V', 'Z'),
      content: fc.constantFrom('', 'x', 'x'.repeat(600), 'target\0', '12 path=b/c\n', '12 path=b/c\n9 size=1\n'),
      link: fc.constantFrom('', 'a', '/', '..'),
      prefix: fc.constantFrom('', 'p', 'p/q'),
      size: fc.constantFrom(0, 1, 511, 512, 513, 2 ** 33, 2 ** 40),
      pax: fc.constantFrom({ path: 'longer' }, { size: '2' }, { linkpath: 'there' }),
    },
    { requiredKeys: ['name'] },
  ),
  { maxLength: 5 },
);
/** Bytes that are other ones, in an archive whose headers are made right again where that is asked. */
const damage = fc.array(
  fc.tuple(fc.nat(8000), fc.constantFrom(0, 0x20, 0x2f, 0x30, 0x37, 0x38, 0x80, 0xff), fc.boolean()),
  { maxLength: 3 },
);

function damaged(archive: Buffer, changes: readonly [number, number, boolean][]): Buffer {
  const bytes = Buffer.from(archive);
  for (const [where, value, repaired] of changes) {
    const at = where % bytes.length;
    bytes[at] = value;
    if (repaired) sign(bytes.subarray(at - (at % 512), at - (at % 512) + 512));
  }
  return bytes;
}

function sign(block: Buffer): void {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
}

function outcome(bytes: Buffer, size?: number): Read[] | string {
  try {
    return readAll(bytes, size);
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

test('a damaged archive is read or refused, the same in whatever pieces it comes', () => {
  fc.assert(
    fc.property(members, damage, fc.integer({ min: 1, max: 2000 }), (list, changes, size) => {
      const bytes = damaged(tar(...list), changes);
      expect(outcome(bytes, size)).toEqual(outcome(bytes));
    }),
    runs(800),
  );
});

/** A name as GNU tar prints it. */
const escaped = (name: string) => {
  const known: Record<string, string> = {
    '\n': '\\n',
    '\t': '\\t',
    '\r': '\\r',
    '\b': '\\b',
    '\f': '\\f',
    '\v': '\\v',
    '\x07': '\\a',
    '\\': '\\\\',
  };
  return [...name]
    .map((c) => known[c] ?? (c >= ' ' && c <= '~' ? c : `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`))
    .join('');
};

test('GNU tar sees the same files in an archive that we accept, damaged or not', () => {
  fc.assert(
    fc.property(members, damage, (list, changes) => {
      // GNU tar reads a long name into its padding.
      if (list.some(({ type, size }) => (type === 'L' || type === 'K') && size !== undefined)) return;
      const bytes = damaged(tar(...list), changes);
      const ours = outcome(bytes);
      // A layer in which something has no name, or a NUL in it, is refused.
      if (typeof ours === 'string' || ours.some(({ entry: { name } }) => name === '' || name.includes('\0'))) return;
      const { stdout } = spawnSync('tar', ['-tf', '-', '--absolute-names', '--quoting-style=escape'], {
        input: bytes,
        env: { PATH: process.env['PATH'], LC_ALL: 'C' },
      });
      expect(ours.map(({ entry }) => escaped(entry.name))).toEqual(stdout.toString('latin1').split('\n').slice(0, -1));
    }),
    runsAt(20, 60),
  );
});

test('records of a pax header are read as they were written, whatever is in them', () => {
  const bytes = fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), maxLength: 120 });
  const key = bytes.filter((text) => text !== '' && !text.includes('=') && text !== '__proto__');
  fc.assert(
    fc.property(
      fc.dictionary(
        key.map((text) => `SCHILY.xattr.${text}`),
        bytes,
      ),
      (records) => {
        const [found] = readAll(tar({ name: 'x', pax: records }));
        expect(Object.fromEntries([...found!.entry.xattrs].map(([k, v]) => [`SCHILY.xattr.${k}`, v]))).toEqual({
          ...records,
        });
      },
    ),
    runs(250),
  );
});
