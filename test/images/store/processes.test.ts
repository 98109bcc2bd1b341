import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ImageStore } from '../../../lib/images/store/store.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';
import { compileWorker, filesBelow, startWorker } from './workers.ts';

const minute = 60_000;

async function runAll(argsOf: (i: number) => readonly string[], count: number): Promise<void> {
  const path = await compileWorker();
  const workers = Array.from({ length: count }, (_, i) => startWorker(path, argsOf(i)));
  const ends = await Promise.all(workers.map(({ ended }) => ended));
  expect(ends.filter(({ code }) => code !== 0)).toEqual([]);
}

test(
  'twenty processes that pull images with a layer in common store it once, and lose no name',
  async () => {
    const directory = join(await temporaryDirectory(), 'images');
    await runAll((i) => [directory, 'pull', String(i)], 20);
    const store = await ImageStore.open(directory);
    const images = await store.list();
    expect(images).toHaveLength(20);
    expect(images.every(({ names }) => names.length === 1)).toBe(true);
    expect(await store.verify()).toMatchObject({ blobs: 61, damaged: [], missing: [] });
    expect(
      filesBelow(directory)
        .filter((path) => !path.startsWith('blobs/'))
        .sort(),
    ).toEqual(['index.json', 'lock', 'oci-layout', 'reserve']);
  },
  minute,
);

test(
  'twenty processes that tag an image lose no name',
  async () => {
    const directory = join(await temporaryDirectory(), 'images');
    await runAll(() => [directory, 'pull', '0'], 1);
    await runAll((i) => [directory, 'tag', String(i)], 20);
    const [image] = await (await ImageStore.open(directory)).list();
    expect(image?.names).toHaveLength(101);
  },
  minute,
);

test(
  'while processes pull, remove and collect at once, no image ever lacks a blob',
  async () => {
    const directory = join(await temporaryDirectory(), 'images');
    await runAll(() => [directory, 'work'], 12);
    const store = await ImageStore.open(directory);
    expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
    expect((await store.survey()).damaged).toEqual([]);
    for (const { targets } of await store.list()) await store.drop(targets);
    await store.collect({ graceMs: -1000 });
    expect(filesBelow(directory).sort()).toEqual(['index.json', 'lock', 'oci-layout', 'reserve']);
  },
  minute,
);
