import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { createHost } from '../../lib/node/host.ts';

const host = createHost();
const { files } = host;
const root = mkdtempSync(join(tmpdir(), 'runts-files-'));
afterAll(() => rmSync(root, { recursive: true }));
const at = (path: string) => join(root, path);

test('a file is read whole, with or without a size', async () => {
  writeFileSync(at('text'), 'é'.repeat(100_000));
  expect(await files.read(at('text'))).toBe('é'.repeat(100_000));
  expect(await files.read('/proc/self/status')).toMatch(/^Name:/);
  await expect(files.read(at('none'))).rejects.toMatchObject({ code: 'ENOENT' });
  writeFileSync(at('huge'), new Uint8Array(16 * 1024 * 1024 + 1));
  await expect(files.read(at('huge'))).rejects.toThrow('larger than');
});

test('below a root no link leads out of it', async () => {
  mkdirSync(at('image/etc'), { recursive: true });
  writeFileSync(at('image/etc/passwd'), 'inside');
  symlinkSync('/etc/passwd', at('image/absolute'));
  symlinkSync('../../../../../etc/passwd', at('image/climbing'));
  symlinkSync('/nowhere', at('image/dangling'));
  symlinkSync('/proc/self/root/etc/passwd', at('image/magic'));
  const read = (path: string) => files.readBelow(at('image'), path, 1000);
  expect(await read('/etc/passwd')).toBe('inside');
  expect(await read('absolute')).toBe('inside');
  expect(await read('climbing')).toBe('inside');
  expect(await read('../../etc/passwd')).toBe('inside');
  for (const path of ['dangling', 'magic', 'none', 'etc/passwd/none']) expect(await read(path)).toBe(undefined);
});

test('below a root only a regular file of a sane size is read', async () => {
  mkdirSync(at('odd/directory'), { recursive: true });
  execFileSync('mkfifo', [at('odd/fifo')]);
  writeFileSync(at('odd/large'), 'x'.repeat(1001));
  expect(await files.readBelow(at('odd'), 'fifo', 1000)).toBe(undefined);
  expect(await files.readBelow(at('odd'), 'directory', 1000)).toBe(undefined);
  await expect(files.readBelow(at('odd'), 'large', 1000)).rejects.toThrow('larger than the 1000 bytes');
  expect(await files.readBelow('/proc', 'version', 1000)).toMatch(/^Linux/);
});

test('a file that is new has no name before it is whole: whoever is killed meanwhile leaves nothing', async () => {
  const names = new Set<string | null>();
  mkdirSync(at('watched'));
  const watcher = watch(at('watched'), (_, name) => names.add(name));
  await files.replace(at('watched/fresh'), 'text');
  writeFileSync(at('watched/later'), '');
  await expect.poll(() => names.has('later')).toBe(true);
  watcher.close();
  // What the kernel says of a file without a name is the number of its inode.
  expect([...names].filter((name) => !name?.startsWith('#'))).toEqual(['fresh', 'later']);
  expect(readFileSync(at('watched/fresh'), 'utf8')).toBe('text');
});

test('a write neither makes nor empties a file; a replacement is all or nothing', async () => {
  await expect(files.write(at('missing'), 'x')).rejects.toMatchObject({ code: 'ENOENT' });
  writeFileSync(at('control'), 'abcdef');
  await files.write(at('control'), 'xy');
  expect(await files.read(at('control'))).toBe('xycdef');
  await files.replace(at('control'), 'new');
  expect(await files.read(at('control'))).toBe('new');
  expect(statSync(at('control')).mode & 0o777).toBe(0o600);
  mkdirSync(at('taken'));
  await expect(files.replace(at('taken'), 'x')).rejects.toMatchObject({ code: 'EISDIR' });
  expect(readdirSync(root).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

test('what a path is, and where a link leads', async () => {
  symlinkSync('/dev', at('link'));
  expect(await files.kind(at('link'))).toBe('directory');
  expect(await files.kind('/dev/null')).toBe('other');
  expect(await files.kind('/proc/version')).toBe('file');
  expect(await files.kind('/proc/version/none')).toBe(undefined);
  expect(await files.readLink(at('link'))).toBe('/dev');
  expect(await files.readLink(root)).toBe(undefined);
  expect(await files.readLink(at('none'))).toBe(undefined);
});

test('a directory is straight when no link leads to it', async () => {
  mkdirSync(at('straight/below'), { recursive: true });
  symlinkSync(at('straight'), at('crooked'));
  writeFileSync(at('straight/file'), '');
  expect(await files.isStraight(at('straight/below'))).toBe(true);
  expect(await files.isStraight(at('crooked'))).toBe(false);
  expect(await files.isStraight(at('crooked/below'))).toBe(false);
  expect(await files.isStraight(at('straight/file'))).toBe(false);
  expect(await files.isStraight(at('none'))).toBe(false);
  expect(await files.isStraight('/proc/self/root')).toBe(false);
  expect(await files.isStraight(`${at('straight')}\0x`)).toBe(false);
});

test('random bytes are as many as were asked for, and are given once', () => {
  const sizes = Array.from({ length: 400 }, (_, i) => (i % 50 === 0 ? 5000 : 16 + (i % 40)));
  const given = sizes.map((size) => host.random(size));
  expect(given.map(({ length }) => length)).toEqual(sizes);
  const first = given.map((bytes) => Buffer.from(bytes.subarray(0, 16)).toString('hex'));
  expect(new Set(first).size).toBe(first.length);
});

test('what is no file is read as it comes, and a path with a NUL leads nowhere', async () => {
  expect(await files.read('/dev/null')).toBe('');
  await expect(files.read(root)).rejects.toMatchObject({ code: 'EISDIR' });
  await expect(files.read(`${at('text')}\0x`)).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
  writeFileSync(at('bom'), '\ufeffa');
  expect(await files.read(at('bom'))).toBe('\ufeffa');
});

test('directories are made once and removed when empty', async () => {
  await files.makeDirectory(at('made'), 0o700);
  await expect(files.makeDirectory(at('made'), 0o700)).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(files.makeDirectory(at('none/made'), 0o700)).rejects.toMatchObject({ code: 'ENOENT' });
  writeFileSync(at('made/file'), '');
  expect(await files.list(at('made'))).toEqual(['file']);
  await expect(files.removeDirectory(at('made'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
  await files.removeFile(at('made/file'));
  await files.removeDirectory(at('made'));
  expect(await files.kind(at('made'))).toBe(undefined);
});

test("a lock is one holder's until it is closed", async () => {
  const held = await files.lock(at('lock'));
  await expect(files.lock(at('lock'))).rejects.toMatchObject({ code: 'EAGAIN' });
  held.close();
  held.close();
  (await files.lock(at('lock'))).close();
});

test('a path is opened in the way that was asked for', async () => {
  (await files.open(at('control'), 'path')).close();
  (await files.open(root, 'directory')).close();
  await expect(files.open(at('control'), 'directory')).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test('a program of the host runs with nothing of our environment', async () => {
  const { run } = host.processes;
  expect(await run('/usr/bin/env', [])).toEqual({ code: 0, timedOut: false, stdout: '', stderr: '' });
  expect(await run('/bin/sh', ['-c', 'cat; echo oops >&2; exit 3'], { input: 'input' })).toEqual({
    code: 3,
    timedOut: false,
    stdout: 'input',
    stderr: 'oops\n',
  });
  expect((await run('/bin/sh', ['-c', 'kill -9 $$'])).code).toBe(137);
  expect((await run('/bin/true', [], { input: 'x'.repeat(1_000_000) })).code).toBe(0);
  expect((await run('/usr/bin/head', ['-c', '1000000', '/dev/zero'])).stdout.length).toBe(64 * 1024);
  await expect(run('sh', [])).rejects.toMatchObject({ code: 'ERR_SPEC' });
  await expect(run('/bin/none', [])).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a timer that is canceled never fires', async () => {
  const { clock } = host;
  let fired = false;
  const canceled = clock.after(5);
  void canceled.done.then(() => {
    fired = true;
  });
  canceled.cancel();
  const start = clock.now();
  await clock.after(20).done;
  expect(clock.now() - start).toBeGreaterThanOrEqual(18);
  expect(fired).toBe(false);
  expect(host.random(16).length).toBe(16);
});
