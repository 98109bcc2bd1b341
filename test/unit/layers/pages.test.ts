import { fstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { LayerPaths } from '../../../lib/layers/layer-paths.ts';
import { NumberRows } from '../../../lib/layers/number-rows.ts';
import { Pages, pageBytes } from '../../../lib/layers/pages.ts';
import { PathTable } from '../../../lib/layers/path-table.ts';

let directory: string;
let memory: Pages;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  memory = new Pages(directory, { frames: 4 });
});
afterEach(() => {
  memory.close();
  rmSync(directory, { recursive: true, force: true });
});

const first = (page: number) => memory.bytes[memory.read(page) * pageBytes];
const put = (page: number, value: number) => {
  memory.bytes[memory.change(page) * pageBytes] = value;
};
/** Descriptors of ours for files that were below the directory. */
const files = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory);
    } catch {
      return false;
    }
  });

test('more pages than there is room for keep what is in them', () => {
  const pages = Array.from({ length: 50 }, () => memory.make());
  expect(pages.map(first)).toEqual(pages.map(() => 0));
  for (const page of pages) put(page, page);
  put(pages[7]!, 200);
  expect(pages.map(first)).toEqual(pages.map((page, i) => (i === 7 ? 200 : page)));
});

test('a page that was given back is one of zeros when it is made again', () => {
  const pages = Array.from({ length: 10 }, () => memory.make());
  for (const page of pages) put(page, 1);
  for (const page of pages) memory.giveBack(page);
  const again = Array.from({ length: 10 }, () => memory.make());
  expect([...again].sort()).toEqual([...pages].sort());
  expect(again.map(first)).toEqual(again.map(() => 0));
});

test("the file is there once it is needed, has no name, is nobody else's to read, and goes when it is closed", () => {
  for (let i = 0; i < 4; i++) put(memory.make(), 1);
  expect(files()).toEqual([]);
  put(memory.make(), 1);
  const [fd, ...others] = files();
  expect(others).toEqual([]);
  expect(readdirSync(directory)).toEqual([]);
  expect(fstatSync(Number(fd)).mode & 0o777).toBe(0o600);
  memory.close();
  expect(files()).toEqual([]);
});

test('where no file can be made it says why', () => {
  const nowhere = new Pages(join(directory, 'gone'), { frames: 4 });
  expect(() => Array.from({ length: 5 }, () => nowhere.make())).toThrow('ENOENT');
});

test('reading back is limited: names can be chosen so that all of them have to be', () => {
  const limited = new Pages(directory, { frames: 4, readsMax: 10 });
  onTestFinished(() => limited.close());
  const pages = Array.from({ length: 8 }, () => limited.make());
  const readAll = () => pages.map((page) => limited.read(page));
  readAll();
  expect(readAll).toThrow('takes too long to find them');
});

test('rows that nobody has set are 0, also between those that somebody has', () => {
  const rows = new NumberRows(memory, 3);
  rows.set(100_000, 2, 7);
  expect([rows.get(100_000, 2), rows.get(50_000, 0), rows.get(1e6, 1)]).toEqual([7, 0, 0]);
  rows.clear();
  expect(rows.get(100_000, 2)).toBe(0);
});

test('a great many paths are each found again with little memory', () => {
  const table = new PathTable(memory);
  const paths = Array.from({ length: 3000 }, (_, i) => `${i % 7}/${'x'.repeat(i % 256 || 255)}/${i}`);
  const numbers = paths.map((path) => table.add(path));
  expect(paths.map((path) => table.find(path))).toEqual(numbers);
  expect(numbers.map((number) => table.text(number))).toEqual(paths);
});

test('what is told of directories comes back with little memory', () => {
  const paths = new LayerPaths(memory);
  const entry = { uid: 1, gid: 2, mode: 0o755, nanoseconds: 3, xattrs: new Map<string, string>() };
  const names = Array.from({ length: 2000 }, (_, i) => `directory-${i}`);
  for (const [i, name] of names.entries()) paths.setDirectory(name, { ...entry, mtime: i });
  const told = [...paths.told()].reverse();
  expect(told).toEqual(names.map((name, i) => ({ name, kind: 'directory', entry: { ...entry, mtime: i } })));
});
