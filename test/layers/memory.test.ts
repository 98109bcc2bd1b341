import { execFile, execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect } from 'vitest';
import { tarEnd, tarHeader } from '../../lib/layers/tar-write.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'slow');
const program = fileURLToPath(new URL('memory-process.mjs', import.meta.url));

let directory: string;
beforeEach(() => {
  // A hundred thousand directories take a disk a minute.
  directory = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'runts-test-'));
});
afterEach(async () => {
  await removeData(join(directory, 'layers'));
  rmSync(directory, { recursive: true, force: true });
}, 120_000);

const plain = { mode: 0o755, uid: 0, gid: 0, mtime: 1, nanoseconds: 0, size: 0, target: '', major: 0, minor: 0 };

/** Writes an archive; gives its digest. */
function writeArchive(archive: string, parts: Iterable<Buffer>): string {
  const hash = createHash('sha256');
  const fd = openSync(archive, 'w');
  const write = (bytes: Buffer) => {
    hash.update(bytes);
    writeSync(fd, bytes);
  };
  for (const bytes of parts) write(bytes);
  write(tarEnd);
  closeSync(fd);
  return `sha256:${hash.digest('hex')}`;
}

function* directories(names: Iterable<string>): Generator<Buffer> {
  for (const name of names) yield tarHeader({ ...plain, type: 'directory', name, xattrs: new Map() });
}

/** By how many MiB. */
async function grownBy(parts: Iterable<Buffer>, compress?: (archive: string) => void): Promise<number> {
  const archive = join(directory, 'layer.tar');
  const diffId = writeArchive(archive, parts);
  compress?.(archive);
  const args = [program, join(directory, 'layers'), archive, diffId];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toMatch(/^\d+$/);
  return Number(stdout);
}

function* numbered(count: number, name: (number: string) => string): Generator<string> {
  for (let i = 0; i < count; i++) yield name(String(i).padStart(8, '0'));
}

const manyDirectories = () =>
  directories(numbered(100_000, (number) => `${number}${'y'.repeat(190)}/${'x'.repeat(200)}`));

test('a great many directories with long names are unpacked in less than 64 MiB', async () => {
  expect(await grownBy(manyDirectories())).toBeLessThan(64);
}, 240_000);

test('directories that are deep in one another are unpacked in less than 64 MiB', async () => {
  const deep = [...numbered(350, (number) => number.slice(-3))];
  function* names(): Generator<string> {
    for (let i = 0; i < 40; i++) for (const [depth] of deep.entries()) yield [i, ...deep.slice(0, depth)].join('/');
  }
  expect(await grownBy(directories(names()))).toBeLessThan(64);
});

const megabyte = 1024 * 1024;

function* files(content: () => Buffer): Generator<Buffer> {
  for (const name of numbered(150, (number) => number)) {
    yield tarHeader({ ...plain, type: 'file', name, size: megabyte, xattrs: new Map() });
    yield content();
  }
}
const noise = () => randomBytes(megabyte);
/** Half of what it is when it is compressed, and matches from everywhere. */
const digits = () => Buffer.from(randomBytes(megabyte / 2).toString('hex'));

const testZstd = testIf('userns', 'slow', 'zstd');
const zstd =
  (...options: string[]) =>
  (archive: string): void => {
    execFileSync('zstd', ['-q', '-f', '--rm', ...options, archive, '-o', `${archive}.zst`]);
    renameSync(`${archive}.zst`, archive);
  };

const gzip = (archive: string): void => writeFileSync(archive, gzipSync(readFileSync(archive), { level: 1 }));

test.each([
  ['files of noise', noise],
  ['files that become smaller', digits],
])('with gzip, %s are unpacked in little more memory than without', async (_name, content) => {
  expect(await grownBy(files(content), gzip)).toBeLessThan(24);
});

test('with gzip, a great many directories are unpacked in less than 64 MiB', async () => {
  expect(await grownBy(manyDirectories(), gzip)).toBeLessThan(64);
}, 240_000);

testZstd.each([
  ['files of noise', ['-3'], noise],
  ['files of noise, with the largest window', ['-1', '--long=25'], noise],
  ['files that become smaller', ['-3'], digits],
  ['files that become smaller, with the window of high levels', ['-1', '--zstd=wlog=23'], digits],
  ['files that become smaller, with the largest window', ['-1', '--long=25'], digits],
])('with zstd, %s are unpacked in less than 64 MiB', async (_name, options, content) => {
  expect(await grownBy(files(content), zstd(...options))).toBeLessThan(64);
});

testZstd.each([
  ['the window of high levels', '--zstd=wlog=23'],
  ['the largest window', '--long=25'],
])(
  'with zstd, and %s, a great many directories are unpacked in less than 64 MiB',
  async (_name, window) => {
    expect(await grownBy(manyDirectories(), zstd('-1', window))).toBeLessThan(64);
  },
  240_000,
);

const testSmall = testIf('userns');

testSmall('what is remembered and cannot be written says why, and nothing is left of the layer', async () => {
  const archive = join(directory, 'layer.tar');
  const names = numbered(20_000, (number) => `${number}${'y'.repeat(190)}/${'x'.repeat(200)}`);
  const diffId = writeArchive(archive, directories(names));
  const args = ['--fsize=1048576', process.execPath, program, join(directory, 'layers'), archive, diffId];
  const { stderr } = await promisify(execFile)('prlimit', args).catch((error) => error);
  expect(stderr).toMatch(/cannot unpack layer 1 of 1 .*: EFBIG: file too large, write/);
  expect(stderr).toContain('ulimit -f');
  expect(readdirSync(join(directory, 'layers'))).toEqual(['locks']);
});
