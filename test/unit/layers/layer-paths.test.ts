import { expect, test } from 'vitest';
import { LayerPaths } from '../../../lib/layers/layer-paths.ts';
import { Pages } from '../../../lib/layers/pages.ts';

const plain = { uid: 0, gid: 0, mode: 0o755, mtime: 0, nanoseconds: 0, xattrs: new Map<string, string>() };
const told = (paths: LayerPaths) => [...paths.told()].map(({ name, kind }) => `${kind} ${name}`);

test('what is told of a directory comes back as it was: ids that are not given, times before 1970 and far from it', () => {
  const paths = new LayerPaths(new Pages('/nonexistent'));
  const entries = [
    { ...plain, uid: undefined, gid: undefined, mtime: -1, nanoseconds: 999_999_999 },
    { ...plain, uid: 4_294_967_294, gid: 1000, mode: 0o7777, mtime: 2 ** 40 + 3, xattrs: new Map([['user.a', 'b']]) },
    { ...plain, mtime: -(2 ** 33) - 5 },
  ];
  for (const [i, entry] of entries.entries()) paths.setDirectory(`d${i}`, entry);
  const found = [...paths.told()].map((each) => each.kind === 'directory' && each.entry);
  expect(found.reverse()).toEqual(entries);
  paths.setDirectory('d1', plain);
  expect([...paths.told()].find(({ name }) => name === 'd1')).toMatchObject({ entry: plain });
});

test('inner directories come first, however they were told; those that only have something in them are told too', () => {
  const paths = new LayerPaths(new Pages('/nonexistent'));
  paths.imply('a/b/c');
  paths.setDirectory('a/b', plain);
  paths.setDirectory('', plain);
  paths.setLink('l');
  paths.imply('l');
  expect(told(paths)).toEqual(['implied a/b/c', 'directory a/b', 'implied a', 'directory ']);
});

test('a directory that was replaced is gone with those in it, until they are told again', () => {
  const paths = new LayerPaths(new Pages('/nonexistent'));
  for (const name of ['a', 'a/b', 'a/b/c', 'ab']) paths.setDirectory(name, plain);
  paths.replaceDirectory('a');
  expect(told(paths)).toEqual(['directory ab']);
  expect(paths.isDirectory('a/b/c')).toBe(false);
  paths.setDirectory('a', plain);
  paths.setDirectory('a/b', plain);
  expect(told(paths)).toEqual(['directory ab', 'directory a/b', 'directory a']);
});

test('names lead by way of the links of lower layers, which are asked once for each directory', async () => {
  const paths = new LayerPaths(new Pages('/nonexistent'));
  const asked: string[] = [];
  const linked = async (name: string) => {
    asked.push(name);
    return { lib: 'usr/lib', 'usr/lib/x': '', gone: 'nowhere' }[name];
  };
  expect(paths.through('lib/a')).toBe('lib/a');
  await paths.locate('lib/x/y', linked);
  await paths.locate('lib/x/z', linked);
  await paths.locate('gone', linked);
  expect(asked).toEqual(['lib', 'usr/lib/x', 'y', 'z', 'gone']);
  expect(paths.where('lib')).toBe('usr/lib');
  expect(paths.through('lib/a')).toBe('usr/lib/a');
  expect(paths.through('lib')).toBe('lib');
  expect(paths.where('lib/x')).toBe('');
  expect(paths.through('lib/x/y/f')).toBe('y/f');
  expect(paths.where('lib/not/asked')).toBe('usr/lib/not/asked');
  expect(paths.where('neither/this')).toBe('neither/this');
});

test("a directory or link of the layer's own is not asked for", async () => {
  const paths = new LayerPaths(new Pages('/nonexistent'));
  paths.setDirectory('etc', plain);
  paths.setLink('bin');
  const asked: string[] = [];
  const linked = async (name: string) => void asked.push(name);
  await paths.locate('etc/conf.d', linked);
  await paths.locate('bin/x', linked);
  expect(asked).toEqual(['etc/conf.d', 'bin/x']);
});
