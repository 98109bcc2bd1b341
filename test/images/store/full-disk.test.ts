import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { removeImage } from '../../../lib/images/remove.ts';
import { ImageStore } from '../../../lib/images/store/store.ts';
import { testIf } from '../../support/requires.ts';
import { putImage } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';

/** A disk of its own, of half a megabyte. */
async function smallDisk(): Promise<string> {
  const path = join(await temporaryDirectory(), 'disk');
  mkdirSync(path);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k,mode=0700', 'tmpfs', path]);
  onTestFinished(() => void execFileSync('umount', [path]));
  return path;
}

/** Writes until nothing more goes in. */
function fill(path: string): void {
  for (let i = 0; ; i++) {
    try {
      writeFileSync(join(path, `filler${i}`), Buffer.alloc(4096));
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' });
      return;
    }
  }
}

testIf('root')('an image is removed on a disk without a free block, and the next one too', async () => {
  const disk = await smallDisk();
  const directory = join(disk, 'images');
  const store = await ImageStore.open(directory);
  const names = ['one', 'two', 'three'];
  for (const name of names) await store.tag(name, await putImage(store, name.repeat(9000)));
  fill(disk);
  await expect(store.tag('four', (await store.resolve('one'))!.descriptor)).rejects.toThrow('ENOSPC');
  for (const name of names) {
    fill(disk);
    expect(await removeImage(store, name, { users: [] })).toContainEqual({ untagged: `${name}:latest` });
  }
  expect(await store.list()).toEqual([]);
  expect(await store.verify()).toMatchObject({ blobs: 0, damaged: [], missing: [] });
});
