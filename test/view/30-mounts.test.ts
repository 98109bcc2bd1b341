import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, watch } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, onTestFinished } from 'vitest';
import { createRuntime } from '../../lib/index.ts';
import { busyboxImage } from '../support/busybox-image.ts';
import { removeData } from '../support/remove-data.ts';
import { patienceMs, testIf } from '../support/requires.ts';

const { directory, path: image } = busyboxImage({ config: { Cmd: ['sleep', '1000'] } });
afterAll(async () => {
  await removeData(join(directory, 'runts'));
  rmSync(directory, { recursive: true, force: true });
});

function done(...words: string[]): void {
  expect(spawnSync(words[0]!, words.slice(1), { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
}

/** A file system in memory on a directory of another, which shares what is mounted in it, as systemd has all of them. */
function mounted(): string {
  const outer = join(directory, 'shared');
  mkdirSync(outer, { recursive: true });
  const mount = (path: string): void => done('mount', '-t', 'tmpfs', '-o', 'size=64k', 'runts-test', path);
  mount(outer);
  onTestFinished(() => void spawnSync('umount', ['--recursive', outer]));
  done('mount', '--make-shared', outer);
  const inner = join(outer, 'inner');
  mkdirSync(inner);
  mount(inner);
  return inner;
}

const sources = [
  { what: 'of a plain root file system', requires: [], driver: undefined, more: {} },
  { what: 'with a system view', requires: ['/dev/fuse'], driver: undefined, more: { systemView: 'limits' } },
  { what: 'of layers that a program serves', requires: ['fuse'], driver: 'fuse-overlayfs', more: {} },
] as const;

for (const { what, requires, driver, more } of sources) {
  const test = testIf('userns', 'busybox', 'root', ...requires);
  test(`what the host unmounts is gone, whatever a container ${what} was started with`, async () => {
    const place = mounted();
    const runtime = createRuntime({ root: join(directory, 'runts'), state: join(directory, 'state'), driver });
    onTestFinished(() => runtime[Symbol.asyncDispose]());
    const container = await runtime.createContainer({ image, ...more });
    await container.start();
    // The kernel tells who watches a directory when its file system ends, which is after its last mount.
    let hasEnded = false;
    const watcher = watch(place, () => {
      hasEnded = true;
    });
    onTestFinished(() => watcher.close());
    done('umount', place);
    await expect.poll(() => hasEnded, { timeout: patienceMs }).toBe(true);
    expect((await container.exec(['sh', '-c', 'read -r up rest </proc/uptime; echo $up'])).stdout).toMatch(/^\d/);
    await container.remove({ force: true });
  });
}
