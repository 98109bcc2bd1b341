import fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { layer, type Member, sha256, tar } from '../../support/archives.ts';
import { unpackLayers } from '../../support/reference/unpack.ts';
import { isRoot, look, temporaryDirectory, unpack } from '../../support/unpacked.ts';

async function tree(...layers: readonly Buffer[]): Promise<string[]> {
  const { root, attempt } = await unpack(layers);
  await attempt;
  return look(root);
}

test('files, directories, symbolic and hard links come out as they went in', async () => {
  const { root, attempt } = await unpack([
    tar(
      { name: './' },
      { name: './etc/', mode: 0o750 },
      { name: './etc/passwd', content: 'root:x:0:0', mode: 0o640 },
      { name: './bin', type: '2', link: 'usr/bin' },
      { name: './etc/again', type: '1', link: './etc/passwd' },
    ),
  ]);
  expect((await attempt).entries).toBe(5);
  expect(look(root)).toEqual(['bin -> usr/bin', 'etc/ 750', 'etc/again 640 root:x:0:0', 'etc/passwd 640 root:x:0:0']);
  expect(fs.statSync(join(root, 'etc/again')).ino).toBe(fs.statSync(join(root, 'etc/passwd')).ino);
});

test('modes are exact, whatever the umask, with set-user-id and the sticky bit', async () => {
  const before = process.umask(0o077);
  try {
    const archive = tar(
      { name: 'tmp/', mode: 0o1777 },
      { name: 'su', content: 'x', mode: 0o4755 },
      { name: 'wall', content: 'x', mode: 0o2755 },
      { name: 'implied/by/this', content: 'x', mode: 0o666 },
    );
    expect(await tree(archive)).toEqual([
      'implied/ 755',
      'implied/by/ 755',
      'implied/by/this 666 x',
      'su 4755 x',
      'tmp/ 1777',
      'wall 2755 x',
    ]);
  } finally {
    process.umask(before);
  }
});

test('times are those of the entries, for directories and symbolic links too, and of the root itself', async () => {
  const { root, attempt } = await unpack([
    tar(
      { name: './', mtime: 10 },
      { name: 'd/', mtime: 20 },
      { name: 'd/f', content: 'x', mtime: 30 },
      { name: 'd/l', type: '2', link: 'f', mtime: 40 },
      { name: 'd/half', pax: { mtime: '50.5' } },
    ),
  ]);
  await attempt;
  const times = ['', 'd', 'd/f', 'd/l', 'd/half'].map((path) => fs.lstatSync(join(root, path)).mtimeMs / 1000);
  expect(times).toEqual([10, 20, 30, 40, 50.5]);
});

test('a directory that may not be written to still gets what is in it, from this layer and later ones', async () => {
  const lower = tar({ name: 'ro/', mode: 0o555 }, { name: 'ro/a', content: 'a' }, { name: 'ro/none/', mode: 0 });
  const { root, attempt } = await unpack([lower, tar({ name: 'ro/none/b', content: 'b' })]);
  await attempt;
  expect(fs.statSync(join(root, 'ro')).mode & 0o777).toBe(0o555);
  expect(fs.statSync(join(root, 'ro/none')).mode & 0o777).toBe(0);
  fs.chmodSync(join(root, 'ro/none'), 0o700);
  expect(fs.readFileSync(join(root, 'ro/none/b'), 'utf8')).toBe('b');
});

test('the mode of the root is the one given, or 755', async () => {
  const given = await unpack([tar({ name: '/', mode: 0o711 })]);
  await given.attempt;
  expect(fs.statSync(given.root).mode & 0o777).toBe(0o711);
  const implied = await unpack([tar({ name: 'a' })]);
  await implied.attempt;
  expect(fs.statSync(implied.root).mode & 0o777).toBe(0o755);
});

test.each<[string, Member[], string[]]>([
  ['file over file', [{ name: 'a', content: '2' }], ['a 644 2', 'd/ 755', 'd/x 644 x', 'l -> d']],
  ['file over directory', [{ name: 'd', content: '2' }], ['a 644 1', 'd 644 2', 'l -> d']],
  ['directory over file', [{ name: 'a/' }], ['a/ 755', 'd/ 755', 'd/x 644 x', 'l -> d']],
  ['directory over directory', [{ name: 'd/', mode: 0o700 }], ['a 644 1', 'd/ 700', 'd/x 644 x', 'l -> d']],
  ['directory over symlink', [{ name: 'l/' }], ['a 644 1', 'd/ 755', 'd/x 644 x', 'l/ 755']],
  ['file over symlink', [{ name: 'l', content: '2' }], ['a 644 1', 'd/ 755', 'd/x 644 x', 'l 644 2']],
  ['symlink over directory', [{ name: 'd', type: '2', link: 'a' }], ['a 644 1', 'd -> a', 'l -> d']],
  ['hard link over file', [{ name: 'a', type: '1', link: 'd/x' }], ['a 644 x', 'd/ 755', 'd/x 644 x', 'l -> d']],
  ['hard link to itself', [{ name: 'a', type: '1', link: 'a' }], ['a 644 1', 'd/ 755', 'd/x 644 x', 'l -> d']],
])('a later entry replaces an earlier one: %s', async (_, members, expected) => {
  const lower: Member[] = [
    { name: 'a', content: '1' },
    { name: 'd/' },
    { name: 'd/x', content: 'x' },
    { name: 'l', type: '2', link: 'd' },
  ];
  expect(await tree(tar(...lower), tar(...members))).toEqual(expected);
  expect(await tree(tar(...lower, ...members))).toEqual(expected);
});

test('a name that goes through a symbolic link of a lower layer lands where that leads inside the root', async () => {
  const lower = tar(
    { name: 'usr/bin/' },
    { name: 'bin', type: '2', link: 'usr/bin' },
    { name: 'abs', type: '2', link: '/usr/../../../usr/bin' },
    { name: 'usr/up', type: '2', link: '../../../../bin' },
    { name: 'dangling', type: '2', link: 'usr/new' },
  );
  const upper = tar(
    { name: 'bin/a', content: 'a' },
    { name: 'abs/b', content: 'b' },
    { name: 'usr/up/c', content: 'c' },
    { name: 'dangling/d', content: 'd' },
    { name: 'usr/bin/e', type: '1', link: 'bin/a' },
  );
  expect(await tree(lower, upper)).toEqual([
    'abs -> /usr/../../../usr/bin',
    'bin -> usr/bin',
    'dangling -> usr/new',
    'usr/ 755',
    'usr/bin/ 755',
    'usr/bin/a 644 a',
    'usr/bin/b 644 b',
    'usr/bin/c 644 c',
    'usr/bin/e 644 a',
    'usr/new/ 755',
    'usr/new/d 644 d',
    'usr/up -> ../../../../bin',
  ]);
});

test('a name resolved before its directory was replaced is resolved anew', async () => {
  const archive = tar(
    { name: 'one/' },
    { name: 'two/' },
    { name: 'way', type: '2', link: 'one' },
    { name: 'way/a', content: 'a' },
    { name: 'way', type: '2', link: 'two' },
    { name: 'way/b', content: 'b' },
    { name: 'one', type: '2', link: 'two' },
    { name: 'one/c', content: 'c' },
  );
  expect(await tree(archive)).toEqual(['one -> two', 'two/ 755', 'two/b 644 b', 'two/c 644 c', 'way -> two']);
});

test('more directories than descriptors are kept open, in and out of order', async () => {
  const members: Member[] = [];
  for (let i = 0; i < 300; i++) members.push({ name: `d${i}/s/f`, content: `${i}` });
  for (let i = 299; i >= 0; i--) members.push({ name: `d${i}/s/g`, content: `${i}` });
  const { root, attempt } = await unpack([tar(...members)]);
  const descriptors = fs.readdirSync('/proc/self/fd').length;
  await attempt;
  expect(look(root)).toHaveLength(300 * 4);
  expect(fs.readFileSync(join(root, 'd7/s/g'), 'utf8')).toBe('7');
  expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptors);
});

test('names of any bytes survive', async () => {
  const { root, attempt } = await unpack([
    tar({ name: 'caf\xe9/' }, { name: 'caf\xe9/\xff', content: 'x' }, { name: 'caf\xc3\xa9', content: 'y' }),
  ]);
  await attempt;
  const names = fs.readdirSync(root, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
  expect(names.sort()).toEqual(['caf\xc3\xa9', 'caf\xe9']);
  expect(fs.readdirSync(Buffer.from(`${root}/caf\xe9`, 'latin1'), { encoding: 'latin1' as never })).toEqual(['\xff']);
});

test('long names come by pax, by GNU headers and by the prefix of ustar', async () => {
  const long = `${'d'.repeat(120)}/${'f'.repeat(200)}`;
  const gnu = `${'g'.repeat(100)}/${'n'.repeat(100)}`;
  const { root, attempt } = await unpack([
    tar(
      { name: 'short', pax: { path: long }, content: 'pax' },
      { name: '././@LongLink', type: 'L', content: `${gnu}\0` },
      { name: 'cut', content: 'gnu' },
      { name: 'name', prefix: 'pre/fix', content: 'ustar' },
    ),
  ]);
  await attempt;
  expect(fs.readFileSync(join(root, long), 'utf8')).toBe('pax');
  expect(fs.readFileSync(join(root, gnu), 'utf8')).toBe('gnu');
  expect(fs.readFileSync(join(root, 'pre/fix/name'), 'utf8')).toBe('ustar');
});

test('a gzip layer is decompressed, and a stream in pieces of any size is the same', async () => {
  const archive = tar(
    { name: 'a', content: 'x'.repeat(5000) },
    { name: 'b/', mode: 0o700 },
    { name: 'b/c', content: 'c' },
  );
  for (const size of [1, 511, 4096]) {
    for (const stored of [archive, gzipSync(archive)]) {
      const pieces: Buffer[] = [];
      for (let at = 0; at < stored.length; at += size) pieces.push(stored.subarray(at, at + size));
      const source = { ...layer(archive, stored), open: () => Readable.from(pieces, { objectMode: false }) };
      const { root, attempt } = await unpack([source]);
      await attempt;
      expect(look(root)).toEqual([`a 644 ${'x'.repeat(5000)}`, 'b/ 700', 'b/c 644 c']);
    }
  }
});

test('owners other than root are returned in their final state, with the mode to set again', async () => {
  const lower = tar(
    { name: 'home/', uid: 0, gid: 50 },
    { name: 'home/a', uid: 1000, gid: 1000, mode: 0o4755 },
    { name: 'home/l', type: '2', link: 'a', uid: 1000 },
    { name: 'home/same', type: '1', link: 'home/a', uid: 7 },
    { name: 'gone/', uid: 5 },
    { name: 'gone/x', uid: 5 },
    { name: 'back', uid: 5 },
  );
  const upper = tar({ name: '.wh.gone' }, { name: 'back', uid: 0 }, { name: 'home/a', uid: 0 });
  const { owners } = await (await unpack([lower, upper])).attempt;
  expect(owners).toEqual([
    { path: 'home', uid: 0, gid: 50, mode: 0o755 },
    { path: 'home/l', uid: 1000, gid: 0, mode: 0o777 },
    { path: 'home/same', uid: 1000, gid: 1000, mode: 0o4755 },
  ]);
});

test.skipIf(!isRoot)('as root, owners are given, and set-user-id stays', async () => {
  const archive = tar(
    { name: './', uid: 3, gid: 4 },
    { name: 'd/', uid: 10, gid: 20, mode: 0o2755 },
    { name: 'd/su', uid: 1000, gid: 1001, mode: 0o6755 },
    { name: 'd/l', type: '2', link: 'su', uid: 5, gid: 6 },
  );
  const { root, attempt } = await unpack([archive], { asRoot: true });
  expect((await attempt).owners).toEqual([]);
  const found = ['', 'd', 'd/su', 'd/l'].map((path) => {
    const { uid, gid, mode } = fs.lstatSync(join(root, path));
    return [uid, gid, (mode & 0o7777).toString(8)];
  });
  expect(found).toEqual([
    [3, 4, '755'],
    [10, 20, '2755'],
    [1000, 1001, '6755'],
    [5, 6, '777'],
  ]);
});

test('devices, fifos and extended attributes are left out, and told', async () => {
  const archive = tar(
    { name: 'dev/null', type: '3' },
    { name: 'dev/sda', type: '4' },
    { name: 'dev/same', type: '1', link: 'dev/null' },
    { name: 'run/fifo', type: '6' },
    { name: 'ping', content: 'x', pax: { 'SCHILY.xattr.security.capability': '\x01\n\0=9 ' } },
  );
  const { root, attempt } = await unpack([archive]);
  expect((await attempt).skipped).toEqual([
    { path: 'dev/null', layer: 0, what: 'character device' },
    { path: 'dev/sda', layer: 0, what: 'block device' },
    { path: 'dev/same', layer: 0, what: 'link to a skipped entry' },
    { path: 'run/fifo', layer: 0, what: 'fifo' },
    { path: 'ping', layer: 0, what: 'xattrs', names: ['security.capability'] },
  ]);
  expect(look(root)).toEqual(['dev/ 755', 'ping 644 x', 'run/ 755']);
});

test('an abort ends it between two entries, and says where', async () => {
  const controller = new AbortController();
  const archive = tar({ name: 'a' }, { name: 'b' }, { name: 'c', content: Buffer.alloc(2_000_000) });
  const { attempt } = await unpack([archive, archive], {
    signal: controller.signal,
    onEntry: ({ layer: index, name }) => index === 1 && name === '"b"' && controller.abort(),
  });
  await expect(attempt).rejects.toMatchObject({
    code: 'ERR_CANCELED',
    message: expect.stringContaining('layer 2 of 2'),
  });
});

test('a signal that was aborted before keeps everything from being opened', async () => {
  const { root, attempt } = await unpack([tar({ name: 'a' })], { signal: AbortSignal.abort() });
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  expect(look(root)).toEqual([]);
});

test('a stream that stalls is ended by an abort', async () => {
  const controller = new AbortController();
  const stalled = { digest: sha256(''), diffId: sha256(''), open: () => new Readable({ read() {} }) };
  const { attempt } = await unpack([stalled], { signal: controller.signal });
  setTimeout(() => controller.abort(), 20);
  await expect(attempt).rejects.toMatchObject({ code: 'ERR_CANCELED' });
});

test('a directory that is not empty, or not there, is not unpacked to', async () => {
  const directory = await temporaryDirectory();
  fs.writeFileSync(join(directory, 'mine'), 'x');
  const source = { layers: [layer(tar({ name: 'a' }))] };
  await expect(unpackLayers(source, directory, { asRoot: false })).rejects.toMatchObject({ code: 'ERR_EXISTS' });
  const missing = join(directory, 'no');
  await expect(unpackLayers(source, missing, { asRoot: false })).rejects.toMatchObject({ code: 'ERR_SETUP' });
});

test('the event loop goes on while many entries are unpacked', async () => {
  const members = Array.from({ length: 4000 }, (_, i) => ({ name: `d${i % 40}/${i}`, content: 'x' }));
  const { attempt } = await unpack([tar(...members)]);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const start = performance.now();
  await attempt;
  clearInterval(timer);
  expect(turns).toBeGreaterThan((performance.now() - start) / 20);
});

test('a layer without padding and end mark, as umoci writes them, is complete', async () => {
  const whole = tar({ name: 'a', content: 'abc' });
  expect(await tree(whole.subarray(0, 512 + 3))).toEqual(['a 644 abc']);
});
