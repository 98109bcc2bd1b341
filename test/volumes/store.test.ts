import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import type { VolumeDriver } from '../../lib/volumes/driver.ts';
import { testIf } from '../support/requires.ts';
import { temporaryData, volumesIn } from './stores.ts';

const test = testIf('userns');
const root = fileURLToPath(new URL('../..', import.meta.url));
const visible = (data: string) => readdirSync(join(data, 'volumes')).filter((name) => !name.startsWith('.'));
const hidden = (data: string) => readdirSync(join(data, 'volumes')).filter((name) => /^\.(new|removed)-/.test(name));

/** As it is built: to load the sources takes long. */
function start(fixture: string, ...args: string[]): ChildProcess & { readonly stdout: NodeJS.ReadableStream } {
  const file = join(root, 'test/volumes/fixtures', fixture);
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child as ReturnType<typeof start>;
}

test('a volume is made, found, listed and removed', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  const made = await volumes.create({ name: 'db', labels: { of: 'me' } });
  expect(made).toMatchObject({
    ...{ name: 'db', driver: 'local', scope: 'local', labels: { of: 'me' }, anonymous: false },
    mountpoint: join(data, 'volumes/db/_data'),
  });
  expect(existsSync(made.mountpoint)).toBe(true);
  const unnamed = await volumes.create();
  expect(unnamed).toMatchObject({ name: expect.stringMatching(/^[0-9a-f]{64}$/), anonymous: true });
  expect((await volumesIn(data).list()).map(({ name }) => name).sort()).toEqual(['db', unnamed.name].sort());
  expect(await volumes.get('db')).toMatchObject({ name: 'db', containers: [] });
  await volumes.remove('db');
  await expect(volumes.get('db')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND', message: 'No such volume: db' });
  await expect(volumes.remove('db')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  await volumes.remove('db', { force: true });
  expect([visible(data), hidden(data)]).toEqual([[unnamed.name], []]);
});

test('names that the store uses for itself are names like any other', async () => {
  const volumes = volumesIn(temporaryData());
  for (const name of ['lock', 'uses', 'volume.json', '_data'.slice(1)]) await volumes.create({ name });
  expect((await volumes.list()).map(({ name }) => name)).toEqual(['data', 'lock', 'uses', 'volume.json']);
});

test('the same again is the same volume; anything else under its name is a conflict', async () => {
  const volumes = volumesIn(temporaryData());
  const options = { type: 'tmpfs', o: 'size=1m' };
  await volumes.create({ name: 'a', options, labels: { first: '' } });
  const again = await volumes.create({ name: 'a', driver: 'local', options: { o: 'size=1m', type: 'tmpfs' } });
  expect(again.labels).toEqual({ first: '' });
  expect((await volumes.create({ name: 'a' })).options).toEqual(options);
  await expect(volumes.create({ name: 'a', options: { type: 'tmpfs' } })).rejects.toMatchObject({
    code: 'ERR_EXISTS',
    message: 'there is a volume a already, with other options',
  });
});

test('what is wrong with options is told, and nothing is made', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  const wrong: readonly (readonly [object, string])[] = [
    [{ name: '../x' }, 'ERR_SPEC'],
    [{ nam: 'x' }, 'ERR_SPEC'],
    [{ name: 'x', options: { a: 1 } }, 'ERR_SPEC'],
    [{ name: 'x', driver: 7 }, 'ERR_SPEC'],
    [{ name: 'x', driver: 'no-such-plugin' }, 'ERR_NOT_FOUND'],
    [{ name: 'x', options: { size: '1g' } }, 'ERR_UNSUPPORTED'],
  ];
  for (const [options, code] of wrong) await expect(volumes.create(options)).rejects.toMatchObject({ code });
  expect(existsSync(join(data, 'volumes')) ? [...visible(data), ...hidden(data)] : []).toEqual([]);
});

test('a volume in use cannot be removed, and it is said by whom', async () => {
  const volumes = volumesIn(temporaryData());
  await volumes.create({ name: 'db' });
  const uses = await volumes.store.withVolume('db', 'use it', async (held) => [
    await held.use('one'),
    await held.use('two'),
  ]);
  await expect(volumes.remove('db', { force: true })).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: expect.stringMatching(/in use by (one, two|two, one)$/),
  });
  expect((await volumes.get('db')).containers.toSorted()).toEqual(['one', 'two']);
  expect(await volumes.list({ dangling: true })).toEqual([]);
  expect((await volumes.prune({ all: true })).removed).toEqual([]);
  for (const use of uses) await use.close();
  expect(await volumes.list({ dangling: true })).toHaveLength(1);
  await volumes.remove('db');
});

test('the use of a process that was killed is over', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  const child = start('use.mjs', data, 'db');
  await once(child.stdout, 'data');
  expect((await volumes.get('db')).containers).toEqual(['victim']);
  await expect(volumes.remove('db')).rejects.toMatchObject({ code: 'ERR_STATE' });
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect((await volumes.get('db')).containers).toEqual([]);
  await volumes.remove('db');
});

test('prune removes what nobody has named, with all every one that is not in use, and says how much it was', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  await volumes.create({ name: 'kept', labels: { keep: 'yes' } });
  const { mountpoint, name } = await volumes.create();
  mkdirSync(join(mountpoint, 'deep'));
  writeFileSync(join(mountpoint, 'deep/file'), 'x'.repeat(1000));
  expect(await volumes.prune()).toEqual({ removed: [name], bytes: 1000 });
  expect(await volumes.prune({ all: true, withoutLabels: { keep: true } })).toEqual({ removed: [], bytes: 0 });
  expect((await volumes.prune({ all: true })).removed).toEqual(['kept']);
  expect(visible(data)).toEqual([]);
});

test('a store has as many volumes as its limit says, of the runtime or of the store', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data, { limits: { max: 2, maxByDriver: { local: 5 } } });
  await volumes.create({ name: 'a' });
  await volumes.create({ name: 'b' });
  await expect(volumes.create({ name: 'c' })).rejects.toMatchObject({
    code: 'ERR_STATE',
    message: 'cannot make the volume c: the store has 2 of at most 2 volumes',
    hint: expect.stringContaining('volume prune'),
  });
  await volumes.create({ name: 'a' });
  await volumes.remove('a');
  await volumes.create({ name: 'c' });
  const others = volumesIn(data);
  await others.create({ name: 'd' });
  await others.setLimits({ maxByDriver: { local: 3 } });
  await expect(volumesIn(data).create({ name: 'e' })).rejects.toThrow('3 of at most 3 volumes of the driver local');
  expect([visible(data), hidden(data)]).toEqual([['b', 'c', 'd'], []]);
});

test('several processes at once make no more than the limit, and nothing by halves', async () => {
  const data = temporaryData();
  await volumesIn(data).setLimits({ max: 25 });
  const children = ['a', 'b', 'c'].map((prefix) => start('create.mjs', data, prefix, '20'));
  const outcomes = await Promise.all(
    children.map(async ({ stdout }): Promise<string[]> => JSON.parse((await text(stdout)).split('\n')[1]!)),
  );
  const count = (what: string) => outcomes.flat().filter((each) => each === what).length;
  expect([count('made'), count('ERR_STATE')]).toEqual([25, 35]);
  const left = await volumesIn(data).list();
  expect([left.length, visible(data).length, hidden(data)]).toEqual([25, 25, []]);
});

test('the same volume, made and removed by several at once, is there or not, and never by halves', async () => {
  const data = temporaryData();
  const all = [volumesIn(data), volumesIn(data), volumesIn(data)];
  const work = all.flatMap((volumes) =>
    Array.from({ length: 15 }, async (_, i) => {
      if (i % 3 < 2) await volumes.create({ name: 'x' });
      else await volumes.remove('x', { force: true });
    }),
  );
  await Promise.all(work);
  await all[0]!.remove('x', { force: true });
  expect([visible(data), hidden(data)]).toEqual([[], []]);
});

test('a process that is killed at any moment leaves whole volumes, and the store goes on', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  for (let round = 0; round < 2; round++) {
    const child = start('create.mjs', data, `k${round}-`, '10000');
    await once(child.stdout, 'data');
    while (!existsSync(join(data, `volumes/k${round}-${round}`)))
      await new Promise((resolve) => setTimeout(resolve, 1));
    child.kill('SIGKILL');
    await once(child, 'exit');
    const names = visible(data);
    expect((await volumes.list()).map(({ name }) => name)).toEqual(names.sort());
    for (const name of names) expect(readdirSync(join(data, 'volumes', name)).sort()).toContain('_data');
    await volumes.create({ name: `after${round}` });
    await volumes.remove(`after${round}`);
  }
  expect(hidden(data)).toEqual([]);
});

test('what is left of a removal that was interrupted is no volume, and goes', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  await volumes.create({ name: 'a' });
  rmSync(join(data, 'volumes/a/volume.json'));
  expect(await volumes.list()).toEqual([]);
  await expect(volumes.get('a')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  await volumes.create({ name: 'a', labels: { new: '' } });
  expect((await volumes.get('a')).labels).toEqual({ new: '' });
  await volumes.prune();
  expect(hidden(data)).toEqual([]);
});

test('limits that are damaged are an error, and not forgotten', async () => {
  const data = temporaryData();
  const volumes = volumesIn(data);
  await volumes.setLimits({ max: 1 });
  writeFileSync(join(data, 'volumes/.limits.json'), '{"max":');
  await expect(volumes.create()).rejects.toMatchObject({
    code: 'ERR_SETUP',
    message: expect.stringContaining('damaged'),
  });
});

/** A driver that keeps count. */
function counting(told: string[], fails: readonly string[] = []): VolumeDriver {
  const note = (what: string) => async (): Promise<void> => {
    told.push(what);
    if (fails.includes(what)) throw new Error(`no ${what}`);
  };
  return {
    name: 'counting',
    create: note('create'),
    remove: note('remove'),
    mount: async () => '/',
    unmount: note('unmount'),
  };
}

test('a driver of this program makes and removes its volumes; what it refuses is not there', async () => {
  const data = temporaryData();
  const told: string[] = [];
  const volumes = volumesIn(data);
  const driver = counting(told);
  await volumes.create({ name: 'a', driver });
  await volumes.create({ name: 'a', driver });
  await volumes.remove('a');
  expect(told).toEqual(['create', 'remove']);
  await expect(volumesIn(data).create({ name: 'b', driver: counting([], ['create']) })).rejects.toThrow('no create');
  expect(visible(data)).toEqual([]);
  const stubborn = volumesIn(data);
  await stubborn.create({ name: 'c', driver: counting([], ['remove']) });
  await expect(stubborn.remove('c')).rejects.toThrow('no remove');
  expect(visible(data)).toEqual(['c']);
  await stubborn.remove('c', { force: true });
  expect(visible(data)).toEqual([]);
});
