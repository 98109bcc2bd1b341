import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { testIf } from '../support/requires.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const binary = join(root, 'build/tiny/runts');
const place = mkdtempSync(join(tmpdir(), 'runts-test-tiny-'));
afterAll(() => rmSync(place, { recursive: true }));

const test = testIf('tiny');
/** Both say their name; a link's is the binary's own. */
const tiny = (args: readonly string[], env: Record<string, string> = {}) =>
  spawnSync(binary, args, { encoding: 'utf8', cwd: place, env: { PATH: '/nowhere', XDG_RUNTIME_DIR: place, ...env } });
const node = (args: readonly string[]) =>
  execFileSync(process.execPath, [join(root, 'bin/runts.js'), ...args], {
    encoding: 'utf8',
    cwd: place,
    env: { XDG_RUNTIME_DIR: place },
  });

test('it is one static file of less than 2.9 MB', () => {
  expect(statSync(binary).size).toBeLessThan(2_850_000);
  const file = readFileSync(binary);
  const [at, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  const types = Array.from({ length: count }, (_, i) => file.readUInt32LE(at + i * size));
  expect(types).not.toContain(3); // PT_INTERP
});

test('it says of itself and of the host what the command under Node says', () => {
  for (const args of [['features'], ['--help'], ['help', 'run'], ['list'], ['man']]) {
    expect(tiny(args)).toMatchObject({ status: 0, stdout: node(args), stderr: '' });
  }
});

test('it makes the same plan as the command under Node', () => {
  const args = ['plan', '--host', '--name', 'same', '--', 'true'];
  const given = tiny(args);
  expect(given).toMatchObject({ status: 0, stderr: '' });
  expect(given.stdout).toBe(node(args));
});

test('a command about images goes to the runts of Node, with its words and its exit code', () => {
  for (const [name, text] of [
    ['node', '#!/bin/sh\nexit 1\n'],
    ['runts', '#!/bin/sh\necho "$RUNTS_HANDED_OVER: $*"\nexit 7\n'],
  ] as const) {
    writeFileSync(join(place, name), text);
    chmodSync(join(place, name), 0o755);
  }
  const given = tiny(['pull', '--quiet', 'busybox'], { PATH: `/nowhere:${place}` });
  expect(given).toMatchObject({ status: 7, stdout: '1: pull --quiet busybox\n', stderr: '' });
});

test('where there is no runts of Node, it is said what is missing', () => {
  const { status, stderr } = tiny(['pull', 'busybox']);
  expect({ status, stderr }).toEqual({
    status: 125,
    stderr: expect.stringMatching(/^runts: `pull busybox` needs the runts of Node, and none is on PATH .*npm install/),
  });
});

test('its snapshot is refused by another program, and so is one that is not whole', () => {
  const changed = (name: string, change: (file: Buffer, snapshot: number) => void) => {
    const file = readFileSync(binary);
    const path = join(place, name);
    change(file, snapshotIn(file));
    writeFileSync(path, file, { mode: 0o755 });
    const { status, stdout, stderr } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    return { status, stdout, stderr };
  };
  const other = changed('other', (file, snapshot) => file.writeUInt8(file.readUInt8(snapshot + 8) ^ 1, snapshot + 8));
  expect(other).toEqual({ status: 125, stdout: '', stderr: expect.stringContaining('made for another program') });
  const half = changed('half', (file, snapshot) => file.writeBigUInt64LE(0n, snapshot));
  expect(half).toEqual({ status: 125, stdout: '', stderr: expect.stringContaining('its build did not end') });
});

/** Where in the file the snapshot begins, which is a segment of its own. */
function snapshotIn(file: Buffer): number {
  const [at, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  const headers = Array.from({ length: count }, (_, i) => at + i * size);
  const segment = headers.find(
    (header) => file.readUInt32LE(header) === 1 && file.readBigUInt64LE(header + 16) === 0x2000_0000n,
  );
  return Number(file.readBigUInt64LE((segment ?? 0) + 8));
}

testIf('tiny', 'slow')(
  'it is the same, byte for byte, when it is built again in another place',
  { timeout: 300_000 },
  () => {
    const env = { ...process.env, RUNTS_TINY: join(place, 'again'), RUNTS_ENGINE: join(root, 'build/tiny/engine') };
    execFileSync(process.execPath, [join(root, 'dist/scripts/tiny.js')], { cwd: place, env });
    expect(readFileSync(join(place, 'again/runts')).equals(readFileSync(binary))).toBe(true);
  },
);
