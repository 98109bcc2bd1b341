import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { descendants, isAlive, until } from '../support/look.ts';
import { patience } from '../support/patience.ts';
import { testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';
import { Fixture } from './fixture.ts';

const test = testIf('userns');

/** A worker of our sources loads slowly, the more so on a busy machine. */
const slowMs = 90_000 * patience;

let directory: TemporaryDirectory;
beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => directory.remove());

describe('when Node is killed', () => {
  testIf(
    'userns',
    'skopeo',
    'umoci',
    'busybox',
  )('its containers are gone within a second, and what was unpacked soon after', async () => {
    const image = busyboxImage(directory.path);
    const node = new Fixture('three', [directory.path, image]);
    const pids = await node.says<number[]>();
    await expectGoneAfterKill(node, pids);
    const containers = join(directory.path, 'data/containers');
    expect(existsSync(containers)).toBe(true);
    expect(await until(() => readdirSync(containers).length === 0, 10_000)).toBe(true);
  });

  test('its containers are gone within a second: with a reaper, without, and one that was not started', async () => {
    const node = new Fixture('three', [directory.path]);
    await expectGoneAfterKill(node, await node.says<number[]>());
  });
});

async function expectGoneAfterKill(node: Fixture, firsts: readonly number[]): Promise<void> {
  // All of them, and their keepers.
  const pids = descendants(node.process.pid);
  expect(pids).toEqual(expect.arrayContaining([...firsts]));
  expect(pids.length).toBeGreaterThan(firsts.length);
  const began = performance.now();
  node.process.kill('SIGKILL');
  const first = await until(() => !firsts.some(isAlive), 1000);
  const tookMs = performance.now() - began;
  expect({ first, tookMs, alive: firsts.filter(isAlive) }).toMatchObject({ first: true, alive: [] });
  expect(await until(() => !pids.some(isAlive), 10_000)).toBe(true);
  await node.ended;
}

test('a process that exits while it makes containers leaves none', { timeout: slowMs }, async () => {
  const moments = [0, 5, 12, 25];
  await Promise.all(
    moments.map(async (ms) => {
      const node = new Fixture('exit-while-creating', [String(ms)]);
      await node.says();
      const seen = new Set<number>();
      const watch = setInterval(() => {
        for (const pid of descendants(node.process.pid)) seen.add(pid);
      }, 2);
      expect(await node.ends()).toEqual({ code: 7, signal: null });
      clearInterval(watch);
      expect({ ms, gone: await until(() => ![...seen].some(isAlive), 2000) }).toEqual({ ms, gone: true });
    }),
  );
});

test.each(['exit', 'terminate', 'throw'])(
  'a worker that ends takes its containers with it: %s',
  { timeout: slowMs },
  async (how) => {
    const node = new Fixture('worker', [how]);
    const pids = await node.says<number[]>();
    expect(pids).toHaveLength(2);
    expect(await node.says()).toBe('gone');
    expect(await until(() => !pids.some(isAlive), 1000)).toBe(true);
    // The program itself goes on.
    expect(isAlive(node.process.pid as number)).toBe(true);
    node.process.stdin?.end();
    expect(await node.ended).toEqual({ code: 0, signal: null });
  },
);

test('a program that made a container and did not start it may end, and the container ends too', async () => {
  const node = new Fixture('created-only');
  const pids = await node.says<number[]>();
  expect(await node.ends()).toEqual({ code: 0, signal: null });
  expect(await until(() => !pids.some(isAlive), 1000)).toBe(true);
});

test.each(['pipes', 'tty'])('a program stays while its container runs, and gets all of its output: %s', async (how) => {
  const node = new Fixture('running', [how]);
  expect(await node.says()).toBe('end');
  expect(await node.ends()).toEqual({ code: 0, signal: null });
});

/** An OCI layout of busybox, made by other people's tools. */
function busyboxImage(directory: string): string {
  const rootfs = busyboxRoot();
  try {
    const layout = join(directory, 'oci');
    const bundle = join(directory, 'bundle');
    const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];
    execFileSync('umoci', ['init', '--layout', layout], { stdio: 'ignore' });
    execFileSync('umoci', ['new', '--image', `${layout}:latest`], { stdio: 'ignore' });
    execFileSync('umoci', ['unpack', ...rootless, '--image', `${layout}:latest`, bundle], { stdio: 'ignore' });
    rmSync(join(bundle, 'rootfs'), { recursive: true });
    mkdirSync(join(bundle, 'rootfs'));
    execFileSync('cp', ['-a', `${rootfs.path}/.`, join(bundle, 'rootfs')]);
    execFileSync('umoci', ['repack', '--image', `${layout}:latest`, bundle], { stdio: 'ignore' });
    rmSync(bundle, { recursive: true, force: true });
    return layout;
  } finally {
    rootfs.remove();
  }
}
