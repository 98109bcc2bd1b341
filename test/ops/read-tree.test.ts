import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, onTestFinished, test } from 'vitest';
import type { Handle, Stream } from '../../lib/host/host.ts';
import { type ReadFile, TreeReader } from '../../lib/layers/tree-reader.ts';
import { bytes, directory, fail, host, op } from '../support/ops.ts';
import { patience, testIf } from '../support/requires.ts';

async function readerOf(path: string): Promise<TreeReader> {
  const reader = await TreeReader.open(host, { directory: path, maps: undefined });
  onTestFinished(() => reader.close());
  return reader;
}

async function contents(reader: TreeReader, paths: readonly string[]): Promise<(string | undefined)[]> {
  const found: (string | undefined)[] = [];
  const text = async ({ entry, content }: ReadFile) => {
    const pieces: Buffer[] = [];
    for await (const piece of content) pieces.push(piece);
    return entry && Buffer.concat(pieces).toString('latin1');
  };
  for await (const file of reader.read(paths)) found.push(await text(file));
  return found;
}

test('a directory is told in the order of names, with all that lstat(2) says, and files with what they contain', async () => {
  const at = directory();
  execFileSync('sh', ['-ec', 'mkdir d; echo 1 > d/b; ln d/b d/a; ln -s /etc/passwd d/c; mkfifo d/d; chmod 4751 d/b'], {
    cwd: at,
  });
  const reader = await readerOf(at);
  const found = await reader.list('d');
  expect(found.map(({ name, type, mode, links, target, size }) => [name, type, mode, links, target, size])).toEqual([
    ['a', 'file', 0o4751, 2, '', 2],
    ['b', 'file', 0o4751, 2, '', 2],
    ['c', 'symlink', 0o777, 1, '/etc/passwd', 11],
    ['d', 'fifo', expect.any(Number), 1, '', 0],
  ]);
  expect(await contents(reader, ['d/a', 'd/b'])).toEqual(['1\n', '1\n']);
});

test('no link is followed, on the way or at the end, and no name leads out', async () => {
  const outside = directory();
  writeFileSync(join(outside, 'secret'), 'secret');
  const at = directory();
  symlinkSync(outside, join(at, 'link'));
  symlinkSync(join(outside, 'secret'), join(at, 'file'));
  symlinkSync('/proc/self/root', join(at, 'magic'));
  const reader = await readerOf(at);
  for (const name of ['link', 'magic', 'link/..', '../..', '/', 'magic/etc']) {
    const names = (await reader.list(name)).map((entry) => entry.name);
    expect([name, names]).toEqual([name, /^(\.\.\/\.\.|\/)$/.test(name) ? ['file', 'link', 'magic'] : []]);
  }
  expect(await contents(reader, ['link/secret', 'file', `../${outside}/secret`, 'magic/etc/passwd'])).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test('what is no file is not read: a fifo without a writer, a directory, a socket, nothing', async () => {
  const at = directory();
  execFileSync('mkfifo', [join(at, 'fifo')]);
  mkdirSync(join(at, 'dir'));
  const reader = await readerOf(at);
  expect(await contents(reader, ['fifo', 'dir', 'none', 'none/below'])).toEqual(Array(4).fill(undefined));
  expect(await reader.list('fifo')).toEqual([]);
});

testIf('root')('of a device only the numbers are told', async () => {
  const at = directory();
  execFileSync('mknod', [join(at, 'zero'), 'c', '1', '5']);
  const reader = await readerOf(at);
  expect(await reader.list('')).toMatchObject([{ name: 'zero', type: 'character', major: 1, minor: 5, size: 0 }]);
  expect(await contents(reader, ['zero'])).toEqual([undefined]);
});

test('names and attributes of any bytes, and of the greatest length, come as they are', async () => {
  const at = directory();
  const names = ['\n', '\x01\xff', 'a'.repeat(255), '\xc3\xa9', '.wh.x'];
  for (const name of names) writeFileSync(Buffer.concat([Buffer.from(`${at}/`), Buffer.from(name, 'latin1')]), name);
  const reader = await readerOf(at);
  expect((await reader.list('')).map(({ name }) => name)).toEqual([...names].sort());
  expect(await contents(reader, names)).toEqual(names.map((name) => Buffer.from(name).toString('latin1')));
});

test('a tree of two hundred levels, and a directory of many entries', { timeout: 60_000 * patience }, async () => {
  const at = directory();
  execFileSync('sh', ['-ec', 'i=0; while [ $i -lt 200 ]; do mkdir d; cd -P d; i=$((i+1)); done; echo deep > f'], {
    cwd: at,
  });
  mkdirSync(join(at, 'many'));
  for (let i = 0; i < 2000; i++) writeFileSync(join(at, 'many', `${i}`), '');
  const reader = await readerOf(at);
  const deep = Array(200).fill('d').join('/');
  expect((await reader.list(deep)).map(({ name }) => name)).toEqual(['f']);
  expect(await contents(reader, [`${deep}/f`])).toEqual(['deep\n']);
  expect(await reader.list('many')).toHaveLength(2000);
});

test('a file that becomes shorter while it is read has as many bytes as were promised', async () => {
  const at = directory();
  const size = 4 << 20;
  writeFileSync(join(at, 'file'), Buffer.alloc(size, 'x'));
  const reader = await readerOf(at);
  let got = 0;
  for await (const { entry, content } of reader.read(['file'])) {
    expect(entry?.size).toBe(size);
    for await (const piece of content) {
      got += piece.length;
      truncateSync(join(at, 'file'), 10);
    }
  }
  expect(got).toBe(size);
});

/** Has an init read a tree for whoever sends it these bytes, and then nothing. */
async function asked(stream: Uint8Array): Promise<string> {
  const root: Handle = await host.files.open(directory(), 'directory');
  const { ours, theirs } = await host.sockets.pair();
  const closes: readonly (Handle | Stream)[] = [root, theirs];
  const sent = ours.write(stream).then(
    () => ours.close(),
    () => ours.close(),
  );
  const answer = await fail([op('read_tree', { src: 'stream', root: 'root' })], { inputs: { stream: theirs, root } });
  await sent;
  for (const each of closes) each.close();
  return answer;
}

function question(kind: number, name: Uint8Array, length = name.length): Uint8Array {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(kind, 0);
  head.writeUInt32LE(length, 4);
  return Buffer.concat([head, name]);
}

test('questions that break the rules end it, and say how', async () => {
  expect(await asked(bytes(''))).toMatch(/^read_tree \S+ ENODATA/);
  expect(await asked(question(1, bytes('a')))).toMatch(/^read_tree read EBADMSG/);
  expect(await asked(question(1, bytes(''), 0))).toMatch(/^read_tree read ENAMETOOLONG/);
  expect(await asked(question(1, bytes('a\0'), 0xffff_ffff))).toMatch(/^read_tree read ENAMETOOLONG/);
  expect(await asked(question(1, bytes('a\0'), 100))).toMatch(/^read_tree \S+ ENODATA/);
});

test('any bytes for questions: an error or an end, and never a crash', { timeout: 60_000 * patience }, async () => {
  const name = fc.uint8Array({ maxLength: 40 }).map((each) => Buffer.concat([each, Buffer.alloc(1)]));
  const piece = fc.oneof(
    fc.tuple(fc.constantFrom(0, 1, 2, 3, 0xffff_ffff), name).map(([kind, text]) => question(kind, text)),
    fc.uint8Array({ maxLength: 64 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), async (pieces) => {
      const answer = await asked(Buffer.concat(pieces));
      expect(answer).toMatch(/^read_tree [a-z0-9_]+ E[A-Z]+|^nothing failed: .*"done"/);
    }),
    { seed: 5, numRuns: 60 },
  );
});
