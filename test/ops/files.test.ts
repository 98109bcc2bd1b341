import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attribute, bytes, directory, fail, isolated, op, opened, ownMounts, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const root = 'root';
const mode = (path: string) => lstatSync(path).mode & 0o7777;
const flags = ownMounts;
const tmpfs = (dst: string) => op('fsmount', { dst, fstype: 'tmpfs', options: [], attributes: 0 });

// ---- made ---------------------------------------------------------------------------------------------------------------

test('directory makes one with its mode, and what is above with 0755; one that exists stays as it is', async () => {
  const path = directory();
  const make = (at: string, mode: number) => op('directory', { root, path: at, mode });
  await succeed([opened(root, path), make('a/b/c', 0o1700), make('a/b/c', 0o755), make('a', 0o700)]);
  expect([mode(join(path, 'a')), mode(join(path, 'a/b')), mode(join(path, 'a/b/c'))]).toEqual([0o755, 0o755, 0o1700]);
  writeFileSync(join(path, 'file'), '');
  expect(await fail([opened(root, path), make('file', 0o755)])).toBe('directory openat2 ENOTDIR file');
  expect(await fail([opened(root, path), make('file/below', 0o755)])).toBe('directory openat2 ENOTDIR file/below');
});

test('file makes one with content, once', async () => {
  const path = directory();
  const file = op('file', { root, path: 'etc/hosts', mode: 0o640, content: bytes('127.0.0.1') });
  await succeed([opened(root, path), file]);
  expect(readFileSync(join(path, 'etc/hosts'), 'utf8')).toBe('127.0.0.1');
  expect(mode(join(path, 'etc/hosts'))).toBe(0o640);
  expect(await fail([opened(root, path), file])).toBe('file open EEXIST etc/hosts');
});

test('file does not write through a link at its end', async () => {
  const path = directory();
  symlinkSync('target', join(path, 'link'));
  const file = op('file', { root, path: 'link', mode: 0o644, content: bytes('x') });
  expect(await fail([opened(root, path), file])).toBe('file open EEXIST link');
  expect(existsSync(join(path, 'target'))).toBe(false);
});

test('symlink leaves what exists as it is', async () => {
  const path = directory();
  const link = (at: string) => op('symlink', { root, path: at, target: '/proc/self/fd' });
  writeFileSync(join(path, 'taken'), 'mine');
  await succeed([opened(root, path), link('dev/fd'), link('dev/fd'), link('taken')]);
  expect(readlinkSync(join(path, 'dev/fd'))).toBe('/proc/self/fd');
  expect(readFileSync(join(path, 'taken'), 'utf8')).toBe('mine');
});

const node = (at: string, type: number, major = 0, minor = 0) =>
  op('node', { root, path: at, mode: type | 0o640, major, minor, uid: 7, gid: 8 });
const [fifo, character, block] = [0o10000, 0o20000, 0o60000];

testIf('root')('node makes devices and fifos with their owner', async () => {
  const path = directory();
  await succeed([opened(root, path), node('fifo', fifo), node('c', character, 511, 0x12345), node('b', block, 7, 1)]);
  expect(lstatSync(join(path, 'fifo')).isFIFO()).toBe(true);
  expect(lstatSync(join(path, 'b')).isBlockDevice()).toBe(true);
  const { rdev, uid, gid } = lstatSync(join(path, 'c'));
  // As glibc's makedev has it.
  expect([rdev, uid, gid]).toEqual([(0x12345 & 0xff) | (511 << 8) | ((0x12345 & 0xfff00) * 2 ** 12), 7, 8]);
  expect(await fail([opened(root, path), node('c', character, 1, 3)])).toBe('node mknodat EEXIST c');
});

test('node tells an empty file, on which a device may be mounted, from anything else', async () => {
  const path = directory();
  writeFileSync(join(path, 'empty'), '');
  writeFileSync(join(path, 'full'), 'x');
  expect(await fail([opened(root, path), node('empty', character, 1, 3)])).toBe('node mknodat EBUSY empty');
  expect(await fail([opened(root, path), node('full', character, 1, 3)])).toBe('node mknodat EEXIST full');
});

testIf('root')('a device number that does not fit is refused, not another device', async () => {
  const start = opened(root, directory());
  expect(await fail([start, node('c', character, 0x1000, 0)])).toBe('node mknodat EINVAL c');
  expect(await fail([start, node('c', character, 1, 0x100003)])).toBe('node mknodat EINVAL c');
});

testIf('userns')('a user namespace makes no devices', async () => {
  const made = op('node', { root, path: 'null', mode: character | 0o666, major: 1, minor: 3, uid: 0, gid: 0 });
  expect(await fail([opened(root, directory()), made], { flags })).toBe('node mknodat EPERM null');
});

// ---- changed ------------------------------------------------------------------------------------------------------------

test('write writes to what exists, and makes nothing', async () => {
  const path = directory();
  writeFileSync(join(path, 'file'), 'before');
  const write = (at: string) => op('write', { root, path: at, content: bytes('after') });
  await succeed([opened(root, path), write('file')]);
  expect(readFileSync(join(path, 'file'), 'utf8')).toBe('aftere');
  expect(await fail([opened(root, path), write('missing')])).toBe('write openat2 ENOENT missing');
  expect(await fail([opened(root, path), write('/')])).toMatch(/^write openat2 EISDIR/);
});

test('write does not wait at a fifo that an image has put there', async () => {
  const path = directory();
  spawnSync('mkfifo', [join(path, 'fifo')]);
  const write = op('write', { root, path: 'fifo', content: bytes('x') });
  expect(await fail([opened(root, path), write])).toBe('write openat2 ENXIO fifo');
});

testIf('root')('chown changes a link, not what it leads to', async () => {
  const path = directory();
  writeFileSync(join(path, 'file'), '');
  symlinkSync('file', join(path, 'link'));
  const chown = (at: string) => op('chown', { root, path: at, uid: 12, gid: 34 });
  await succeed([opened(root, path), chown('link')]);
  expect([lstatSync(join(path, 'link')).uid, lstatSync(join(path, 'link')).gid]).toEqual([12, 34]);
  expect(lstatSync(join(path, 'file')).uid).toBe(0);
  expect(await fail([opened(root, path), chown('missing')])).toBe('chown openat2 ENOENT missing');
});

testIf('userns')('chown to an id that has no mapping is refused', async () => {
  const path = directory();
  writeFileSync(join(path, 'file'), '');
  const chown = op('chown', { root, path: 'file', uid: 12, gid: 34 });
  expect(await fail([opened(root, path), chown], { flags: isolated.user })).toBe('chown fchownat EINVAL file');
});

test('chmod changes files, directories and fifos, and no links', async () => {
  const path = directory();
  writeFileSync(join(path, 'file'), '', { mode: 0o600 });
  mkdirSync(join(path, 'dir'));
  spawnSync('mkfifo', [join(path, 'fifo')]);
  symlinkSync('file', join(path, 'link'));
  const chmod = (at: string, mode: number) => op('chmod', { root, path: at, mode });
  await succeed([opened(root, path), chmod('file', 0o4755), chmod('dir', 0o1777), chmod('fifo', 0o622)]);
  expect(['file', 'dir', 'fifo'].map((name) => mode(join(path, name)))).toEqual([0o4755, 0o1777, 0o622]);
  expect(await fail([opened(root, path), chmod('link', 0)])).toBe('chmod fchmodat ELOOP link');
});

testIf('root')('chmod does not open a device', async () => {
  const path = directory();
  // Nothing has this number: to open it would say ENXIO.
  await succeed([
    opened(root, path),
    node('device', character, 511, 7),
    op('chmod', { root, path: 'device', mode: 0o606 }),
  ]);
  expect(mode(join(path, 'device'))).toBe(0o606);
});

// ---- removed ------------------------------------------------------------------------------------------------------------

const remove = (path: string) => op('remove_tree', { root, path });

test('remove_tree removes files, links and directories, but nothing that a link leads to', async () => {
  const path = directory();
  mkdirSync(join(path, 'tree/a/b'), { recursive: true });
  mkdirSync(join(path, 'kept'));
  writeFileSync(join(path, 'kept/file'), '');
  writeFileSync(join(path, 'tree/a/file'), '');
  symlinkSync('../kept', join(path, 'tree/link'));
  symlinkSync(join(path, 'kept'), join(path, 'tree/a/absolute'));
  symlinkSync('kept', join(path, 'link'));
  await succeed([opened(root, path), remove('tree'), remove('link')]);
  expect(readdirSync(path)).toEqual(['kept']);
  expect(readdirSync(join(path, 'kept'))).toEqual(['file']);
});

test('remove_tree finds a missing entry fine, and makes nothing on the way', async () => {
  const path = directory();
  await succeed([opened(root, path), remove('missing'), remove('not/there/either')]);
  expect(readdirSync(path)).toEqual([]);
});

test('remove_tree takes down a tree of 5000 levels', async () => {
  const path = directory({ inMemory: true });
  // Deeper than a path can say: each step is one of its own.
  const before = process.cwd();
  process.chdir(path);
  try {
    for (const name of ['tree', ...Array<string>(5000).fill('d')]) {
      mkdirSync(name);
      process.chdir(name);
      writeFileSync('file', '');
    }
  } finally {
    process.chdir(before);
  }
  await succeed([opened(root, path), remove('tree')]);
  expect(readdirSync(path)).toEqual([]);
});

test('remove_tree takes down many entries, deep or not, whatever their names', async () => {
  const path = directory({ inMemory: true });
  for (let i = 0; i < 100; i++) {
    mkdirSync(join(path, `tree/${i}/x`), { recursive: true });
    for (let k = 0; k < 100; k++) writeFileSync(join(path, `tree/${i}/${k}`), '');
  }
  // Such a name is what the op gives to a directory that it moves up.
  for (let i = 0; i < 3; i++)
    mkdirSync(join(path, `tree/.runts-000000000000000${i}/${'d/'.repeat(40)}`), { recursive: true });
  await succeed([opened(root, path), remove('tree')]);
  expect(readdirSync(path)).toEqual([]);
});

testIf('userns')('remove_tree does not enter another file system, at the top or below', async () => {
  const at = directory();
  const start = [
    opened('kept', at),
    tmpfs(root),
    op('attach_host', { src: root, path: at }),
    tmpfs('inner'),
    op('attach', { src: 'inner', root, path: 'tree/sub/mounted', ordinary: 0 }),
    op('file', { root: 'inner', path: 'file', mode: 0o644, content: bytes('x') }),
  ];
  expect(await fail([...start, remove('tree')], { flags })).toMatch(/^remove_tree (unlinkat EBUSY|openat2 EXDEV)/);
  expect(await fail([...start, remove('tree/sub/mounted')], { flags })).toMatch(/^remove_tree unlinkat EBUSY/);
  const wrapped = { unless: ['EBUSY', 'EXDEV'] };
  const look = op('open_below', { dst: 'a', root: 'inner', path: 'file', directory: 0 });
  await succeed(
    [
      ...start,
      op('remove_tree', { root, path: 'tree' }, wrapped),
      op('remove_tree', { root, path: 'tree/sub/mounted' }, wrapped),
      look,
    ],
    { flags },
  );
});

testIf('userns')('remove_tree says why a file may not go', async () => {
  const path = directory();
  mkdirSync(join(path, 'tree'));
  writeFileSync(join(path, 'tree/file'), '');
  const start = [
    op('clone_mount', { dst: root, path, recursive: 0 }),
    op('mount_attributes', { src: root, set: attribute.ro, clear: 0, propagation: 0, recursive: 0 }),
  ];
  expect(await fail([...start, remove('tree')], { flags })).toMatch(/^remove_tree unlinkat EROFS tree/);
});
