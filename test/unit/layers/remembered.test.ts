import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Remembered } from '../../../lib/layers/remembered.ts';

let directory: string;
let path: string;
let reads: number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-remembered-'));
  path = join(directory, 'file');
  reads = 0;
  writeFileSync(path, 'one');
});

afterEach(() => rmSync(directory, { recursive: true }));

const read = async (): Promise<string | undefined> => {
  reads++;
  return readFileSync(path, 'utf8');
};

/** Asks until the file is old enough to be known by its times. */
async function settled(remembered: Remembered<string>): Promise<void> {
  await vi.waitFor(
    async () => {
      const before = reads;
      await remembered.of(path, 'key', read);
      expect(reads).toBe(before);
    },
    { timeout: 10_000, interval: 20 },
  );
}

test('a file that stays as it is is read once', async () => {
  const remembered = new Remembered<string>(8);
  await settled(remembered);
  const before = reads;
  expect(await remembered.of(path, 'key', read)).toBe('one');
  expect(reads).toBe(before);
});

test('a file that was written to, or replaced, or is gone, is not taken for the one that was read', async () => {
  const remembered = new Remembered<string>(8);
  await settled(remembered);
  writeFileSync(path, 'two');
  expect(await remembered.of(path, 'key', read)).toBe('two');
  await settled(remembered);
  writeFileSync(`${path}.new`, 'six');
  renameSync(`${path}.new`, path);
  expect(await remembered.of(path, 'key', read)).toBe('six');
  await settled(remembered);
  rmSync(path);
  expect(await remembered.of(path, 'key', async () => undefined)).toBeUndefined();
});

test('a file that was changed just now is read anew each time: another change could bear the same time', async () => {
  const remembered = new Remembered<string>(8);
  for (const content of ['a', 'b', 'c', 'd']) {
    writeFileSync(path, content);
    expect(await remembered.of(path, 'key', read)).toBe(content);
  }
});

test('no more is kept than was said', async () => {
  const remembered = new Remembered<string>(1);
  await settled(remembered);
  await vi.waitFor(
    async () => {
      await remembered.of(path, 'another key', read);
      const before = reads;
      await remembered.of(path, 'key', read);
      expect(reads).toBe(before + 1);
    },
    { timeout: 10_000 },
  );
});
