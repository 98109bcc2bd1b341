import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type Container, type ContainerOptions, createRuntime } from '../../lib/index.ts';
import { lock } from '../../lib/node/lock.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';

const test = testIf('userns');

/** What is on disk of detached containers, as processes that were killed, a failing disk or another program may leave it. */
async function place() {
  const directory = await temporaryDirectory();
  const root = join(directory, 'root');
  return { root, runtime: createRuntime({ root, state: join(directory, 'state') }) };
}

const shell = (script: string, more: object = {}) =>
  ({ host: true, detached: true, command: ['sh', '-c', script], ...more }) as ContainerOptions & { host: true };

test('what was killed while it was made, or removed, is removed by the next one', async () => {
  const { root, runtime } = await place();
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  const make = (name: string) =>
    runtime.createContainer(shell('true', { name, mounts: [{ type: 'volume', target: '/volume' }] }));
  const file = (id: string, name: string) => join(root, 'detached', id, name);
  const mark = ({ id }: Container) => writeFileSync(file(id, 'removed.json'), readFileSync(file(id, 'container.json')));
  const [removed, made, whole] = [await make('removed'), await make('made'), await make('whole')];
  for (const container of [removed, made]) mark(container);
  rmSync(file(removed.id, 'container.json'));
  const [begun, busy] = ['a'.repeat(64), 'b'.repeat(64)];
  for (const id of [begun, busy]) {
    mkdirSync(join(root, 'detached', id));
    writeFileSync(file(id, 'log.0'), '');
  }
  const held = await lock(file(busy, 'lock'));
  onTestFinished(() => held.close());
  for (const { id } of [removed, made])
    await expect(runtime.container(id)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  const again = await make('made');
  expect(readdirSync(join(root, 'detached')).sort()).toEqual(['.lock', busy, whole.id, again.id].sort());
  expect((await runtime.volumes.list()).length).toBe(2);
  for (const container of [whole, again]) await container.remove();
  expect(await runtime.volumes.list()).toEqual([]);
});

test('a record that was damaged is refused, and nothing that it names is touched', async () => {
  const { root, runtime } = await place();
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  const container = await runtime.createContainer(shell('true'));
  const file = (name: string) => join(root, 'detached', container.id, name);
  const record = JSON.parse(readFileSync(file('container.json'), 'utf8')) as object;
  const state = { version: 1, wanted: false, restarts: 0 };
  const cgroup = { driver: 'cgroupfs', path: '/sys/fs/cgroup/a', made: [] };
  const damaged: readonly (readonly [string, object | string])[] = [
    ...[{ pid: -1 }, { pid: 1, startTime: 5, boot: '' }].map(
      (process) => ['state.json', { ...state, process }] as const,
    ),
    ...[{ path: '/a/../b' }, { path: 5 }, { made: ['..'] }, { driver: 'x' }].map(
      (wrong) => ['state.json', { ...state, cgroup: { ...cgroup, ...wrong } }] as const,
    ),
    ['state.json', '{"version":'],
    ['state.json', { ...state, version: 2 }],
    ...[{ volumes: [{ name: '../x', anonymous: true }] }, { unpacked: {} }, { id: 'b'.repeat(64) }, { request: 5 }].map(
      (wrong) => ['container.json', { ...record, ...wrong }] as const,
    ),
  ];
  for (const [name, value] of damaged) {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    writeFileSync(file(name), text);
    await expect(container.remove({ force: true }), text).rejects.toMatchObject({ code: 'ERR_STATE' });
    if (name === 'state.json') rmSync(file(name));
  }
  writeFileSync(file('container.json'), JSON.stringify(record));
  await container.remove();
});
