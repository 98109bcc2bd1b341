// What an image can put in the way of a path: every op with a root resolves in the same way, so one of each kind is asked.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { bytes, directory, fail, isolated, op, opened, ownMounts, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const root = 'root';

/** A root with something to lose beside it. */
function image(): { readonly path: string; readonly outside: string } {
  const path = join(directory(), 'image');
  const outside = join(path, '../outside');
  mkdirSync(path);
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'untouched');
  return { path, outside };
}

describe('a link in the image stays in the image', () => {
  const targets = {
    absolute: (outside: string) => outside,
    relative: () => '../../../../outside',
    'up and down': () => '../outside',
  };
  test.each(Object.entries(targets))('%s', async (_name, target) => {
    const { path, outside } = image();
    symlinkSync(target(outside), join(path, 'link'));
    const start = opened(root, path);
    const inside = 'link/secret';
    const kept = lstatSync(join(outside, 'secret')).mode;
    expect(await fail([start, op('open_below', { dst: 'a', root, path: inside, directory: 0 })])).toMatch(/ENOENT/);
    expect(await fail([start, op('write', { root, path: inside, content: bytes('x') })])).toMatch(/ENOENT/);
    expect(await fail([start, op('chmod', { root, path: inside, mode: 0 })])).toMatch(/ENOENT/);
    await succeed([start, op('remove_tree', { root, path: inside })]);
    await succeed([start, op('file', { root, path: 'up/../link/new', mode: 0o644, content: bytes('in') })]);
    expect(readdirSync(outside)).toEqual(['secret']);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('untouched');
    expect(lstatSync(join(outside, 'secret')).mode).toBe(kept);
  });
});

test('a link that is the whole path, or in the middle of it, is followed inside', async () => {
  const { path } = image();
  mkdirSync(join(path, 'data/deep'), { recursive: true });
  symlinkSync('/data', join(path, 'middle'));
  symlinkSync('../../../data/deep', join(path, 'end'));
  await succeed([
    opened(root, path),
    op('file', { root, path: 'middle/deep/one', mode: 0o600, content: bytes('1') }),
    op('file', { root, path: 'end/two', mode: 0o600, content: bytes('2') }),
  ]);
  expect(readdirSync(join(path, 'data/deep'))).toEqual(['one', 'two']);
});

test('what is above the root is the root', async () => {
  const { path } = image();
  await succeed([
    opened(root, path),
    op('file', { root, path: '../../../top', mode: 0o600, content: bytes('') }),
    op('directory', { root, path: '../../new/../other', mode: 0o700 }),
  ]);
  expect(readdirSync(path).sort()).toEqual(['new', 'other', 'top']);
});

test.each(['/proc/self/root', '/proc/1/root', '/proc/self/cwd', '/proc/self/fd/3'])(
  'the magic link %s leads nowhere',
  async (path) => {
    const below = op('open_below', { dst: 'a', root, path: `${path}/etc`, directory: 0 });
    // EACCES: or we may not even look.
    expect(await fail([opened(root, '/'), below])).toMatch(/^open_below openat2 (ELOOP|EACCES) proc/);
  },
);

test('a link to a magic link leads nowhere', async () => {
  const { path } = image();
  symlinkSync('/proc/self/root', join(path, 'link'));
  mkdirSync(join(path, 'proc'));
  const below = op('open_below', { dst: 'a', root, path: 'link/etc/passwd', directory: 0 });
  // There is no procfs in this image, and the host's is not reached.
  expect(await fail([opened(root, path), below])).toBe('open_below openat2 ENOENT link/etc/passwd');
});

test('a loop of links is an end', async () => {
  const { path } = image();
  symlinkSync('b', join(path, 'a'));
  symlinkSync('a', join(path, 'b'));
  expect(await fail([opened(root, path), op('directory', { root, path: 'a/x', mode: 0o755 })])).toBe(
    'directory openat2 ELOOP a/x',
  );
});

test.each(['', '/', '.', '..', 'a/..', 'a/.', 'a/../..'])('%j names no entry that could be made', async (path) => {
  const start = opened(root, image().path);
  const made = op('file', { root, path, mode: 0o600, content: bytes('') });
  expect(await fail([start, made])).toBe(`file openat2 EINVAL ${path}`.trimEnd());
  expect(await fail([start, op('remove_tree', { root, path })])).toBe(`remove_tree openat2 EINVAL ${path}`.trimEnd());
});

test('a slash at the end is fine for a directory and not for a file', async () => {
  const { path } = image();
  await succeed([opened(root, path), op('directory', { root, path: 'a/b//', mode: 0o755 })]);
  expect(existsSync(join(path, 'a/b'))).toBe(true);
  const file = op('file', { root, path: 'a/c/', mode: 0o600, content: bytes('') });
  expect(await fail([opened(root, path), file])).toBe('file openat2 EINVAL a/c/');
});

test('a path that is as long as it may be is made; a name that is too long is refused', async () => {
  const { path } = image();
  const longest = 'ab/'.repeat(1365).slice(0, -1); // 4094 bytes
  await succeed([opened(root, path), op('directory', { root, path: longest, mode: 0o755 })]);
  await succeed([opened(root, path), op('remove_tree', { root, path: 'ab' })]);
  expect(readdirSync(path)).toEqual([]);
  const name = 'n'.repeat(256);
  expect(await fail([opened(root, path), op('directory', { root, path: name, mode: 0o755 })])).toMatch(/ENAMETOOLONG/);
});

testIf('userns')('a mount point is made through links of the image, inside it', async () => {
  const { path, outside } = image();
  mkdirSync(join(path, 'run'));
  symlinkSync('/run', join(path, 'var'));
  symlinkSync(outside, join(path, 'escape'));
  const tmpfs = op('fsmount', { dst: 'm', fstype: 'tmpfs', options: [], attributes: 0 });
  const attach = (at: string) => op('attach', { src: 'm', root, path: at, ordinary: 0 });
  await succeed([opened(root, path), tmpfs, attach('var/lock/deep')], { flags: ownMounts });
  expect(readdirSync(join(path, 'run'))).toEqual(['lock']);
  await succeed([opened(root, path), tmpfs, attach('escape/made')], { flags: ownMounts });
  expect(readdirSync(outside)).toEqual(['secret']);
});

testIf('userns')('an ordinary mount point is reached through no link, and nothing is made on the way', async () => {
  const { path } = image();
  mkdirSync(join(path, 'real'));
  symlinkSync('real', join(path, 'proc'));
  const tmpfs = op('fsmount', { dst: 'm', fstype: 'tmpfs', options: [], attributes: 0 });
  const attach = (at: string) => op('attach', { src: 'm', root, path: at, ordinary: 1 });
  const flags = isolated.user | isolated.mount;
  expect(await fail([opened(root, path), tmpfs, attach('proc')], { flags })).toBe('attach openat2 ELOOP proc');
  expect(await fail([opened(root, path), tmpfs, attach('proc/sub')], { flags })).toBe('attach openat2 ELOOP proc/sub');
  expect(readdirSync(join(path, 'real'))).toEqual([]);
});
