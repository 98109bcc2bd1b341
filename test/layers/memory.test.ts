import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
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

/** Writes an archive of directories; gives its digest. */
function writeDirectories(archive: string, names: Iterable<string>): string {
  const hash = createHash('sha256');
  const fd = openSync(archive, 'w');
  const write = (bytes: Buffer) => {
    hash.update(bytes);
    writeSync(fd, bytes);
  };
  for (const name of names) write(tarHeader({ ...plain, type: 'directory', name, xattrs: new Map() }));
  write(tarEnd);
  closeSync(fd);
  return `sha256:${hash.digest('hex')}`;
}

async function grownBy(names: Iterable<string>): Promise<number> {
  const archive = join(directory, 'layer.tar');
  const diffId = writeDirectories(archive, names);
  const args = [program, join(directory, 'layers'), archive, diffId];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toMatch(/^\d+$/);
  return Number(stdout);
}

function* numbered(count: number, name: (number: string) => string): Generator<string> {
  for (let i = 0; i < count; i++) yield name(String(i).padStart(8, '0'));
}

test('a great many directories with long names are unpacked in less than 64 MiB', async () => {
  const names = numbered(50_000, (number) => `${number}${'y'.repeat(190)}/${'x'.repeat(200)}`);
  expect(await grownBy(names)).toBeLessThan(64);
});

test('directories that are deep in one another are unpacked in less than 64 MiB', async () => {
  const deep = [...numbered(350, (number) => number.slice(-3))];
  function* names(): Generator<string> {
    for (let i = 0; i < 40; i++) for (const [depth] of deep.entries()) yield [i, ...deep.slice(0, depth)].join('/');
  }
  expect(await grownBy(names())).toBeLessThan(64);
});
