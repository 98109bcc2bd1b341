import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { expect, onTestFinished } from 'vitest';
import { createRuntime, type Runtime } from '../../lib/index.ts';
import { descendants, until } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { imageWith, temporaryRuntime } from '../volumes/containers.ts';

const test = testIf('userns', 'busybox');

const names = async (runtime: Runtime) => ({
  volumes: (await runtime.volumes.list()).map(({ name }) => name),
  images: (await runtime.images.list()).flatMap(({ references }) => references).sort(),
});
const of = (root: string, ephemeral: boolean) => {
  const runtime = createRuntime({ root, state: `${root}/state`, ephemeral });
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  return runtime;
};
const layersIn = (root: string) => readdirSync(`${root}/layers`).filter((name) => /^[0-9a-f]{64}/.test(name));

test('volumes, images and layers that an ephemeral runtime made go when it is disposed; others stay', async () => {
  const ordinary = await temporaryRuntime();
  await imageWith(ordinary, [], [], 'kept');
  await ordinary.volumes.create({ name: 'kept' });
  await ordinary.run({ image: 'kept', command: ['ls'] });
  const [blobs, layers] = [readdirSync(`${ordinary.data}/images/blobs/sha256`), layersIn(ordinary.data)];

  const ephemeral = of(ordinary.data, true);
  await imageWith(ephemeral, [{ name: 'more', content: 'x' }], ['/data'], 'gone');
  await ephemeral.images.tag('kept', 'other');
  await ephemeral.images.tag('gone', 'gone:2');
  const mounts = [{ type: 'volume', source: 'made', target: '/made' }] as const;
  await ephemeral.run({ image: 'gone', command: ['ls'], mounts });
  await ephemeral.volumes.create();
  expect((await names(ordinary)).images).toHaveLength(4);
  const heard: string[] = [];
  const events = ephemeral.events();
  const listening = (async () => {
    for await (const { type, action } of events) heard.push(`${type} ${action}`);
  })();
  await ephemeral[Symbol.asyncDispose]();
  await listening;
  expect(heard).toEqual(['volume remove', 'volume remove']);

  expect(await names(ordinary)).toEqual({ volumes: ['kept'], images: ['docker.io/library/kept:latest'] });
  expect(readdirSync(`${ordinary.data}/images/blobs/sha256`)).toEqual(blobs);
  expect(layersIn(ordinary.data)).toEqual(layers);
  expect(readdirSync(`${ordinary.data}/ephemeral`)).toEqual([]);
  await expect(ephemeral.volumes.create({ name: 'late' })).rejects.toMatchObject({ code: 'ERR_STATE' });
});

test('what another runtime has asked for too goes with the last ephemeral one, or stays', async () => {
  const ordinary = await temporaryRuntime();
  const [first, second] = [of(ordinary.data, true), of(ordinary.data, true)];
  for (const name of ['one', 'two', 'three']) await first.volumes.create({ name });
  await second.volumes.create({ name: 'two' });
  const mounts = [{ type: 'volume', source: 'three', target: '/mnt' }] as const;
  await ordinary.run({ host: true, command: ['true'], mounts });
  await imageWith(first, [], [], 'app');
  await second.images.tag('app', 'app:2');
  await first[Symbol.asyncDispose]();
  expect(await names(ordinary)).toEqual({ volumes: ['three', 'two'], images: ['docker.io/library/app:2'] });
  await second[Symbol.asyncDispose]();
  expect(await names(ordinary)).toEqual({ volumes: ['three'], images: [] });
});

test('an image that a container of another runtime uses stays, and a name that others gave', async () => {
  const ordinary = await temporaryRuntime();
  await imageWith(ordinary, [], [], 'theirs');
  const ephemeral = of(ordinary.data, true);
  await imageWith(ephemeral, [{ name: 'new', content: 'x' }], [], 'theirs');
  await imageWith(ephemeral, [{ name: 'used', content: 'x' }], [], 'used');
  await using container = await ordinary.createContainer({ image: 'used', command: ['sleep', '1000'] });
  await container.start();
  await ephemeral[Symbol.asyncDispose]();
  expect((await names(ordinary)).images).toEqual(['docker.io/library/theirs:latest', 'docker.io/library/used:latest']);
  expect((await container.exec(['cat', '/used'])).stdout).toBe('x');
  expect((await ordinary.run('theirs', ['cat', '/new'])).stdout).toBe('x');
});

test('what one has left that was killed with its keeper, the next runtime removes', async () => {
  const ordinary = await temporaryRuntime();
  const file = new URL('fixtures/claim.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, ordinary.data, 'left'], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  for (const pid of descendants(child.pid)) process.kill(pid, 'SIGKILL');
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('exit', resolve));
  expect((await names(ordinary)).volumes).toEqual(['left']);
  await ordinary.run({ host: true, command: ['true'] });
  expect(await until(() => readdirSync(`${ordinary.data}/ephemeral`).length === 0, 20_000)).toBe(true);
  expect(existsSync(`${ordinary.data}/volumes/left`)).toBe(false);
});

test('what one was filling a volume of others with goes with it, when it is killed', { timeout: 60_000 }, async () => {
  const ordinary = await temporaryRuntime();
  await imageWith(ordinary, [{ name: 'data/first', content: 'x' }], ['/data'], 'full');
  await ordinary.volumes.create({ name: 'kept' });
  const file = new URL('fixtures/fill.mjs', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, ordinary.data, 'full', 'kept'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const kept = `${ordinary.data}/volumes/kept`;
  expect(await until(() => existsSync(`${kept}/_data/first`), 20_000)).toBe(true);
  // As if it were at it still: a moment that is too short to be met.
  mkdirSync(`${kept}/_fill/half`, { recursive: true });
  child.kill('SIGKILL');
  await ended;
  expect(await until(() => readdirSync(`${ordinary.data}/ephemeral`).length === 0, 20_000)).toBe(true);
  expect(readdirSync(kept).sort()).toEqual(['_data', 'lock', 'uses', 'volume.json']);
});
