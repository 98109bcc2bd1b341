import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type Container, createRuntime } from '../../lib/index.ts';
import { look, until } from '../support/look.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { imageWith, temporaryRuntime } from '../volumes/containers.ts';

// The union mounts of root and of mapped ids: a copy has nothing that could be made ahead.
const test = testIf('userns', 'busybox');

const command = ['sleep', '1000'];
const names = (path: string): string[] => (existsSync(path) ? readdirSync(path).sort() : []);
const rootMode = async (container: Container): Promise<string> =>
  (await container.exec(['stat', '-c', '%a', '/'])).stdout.trim();

/** A runtime whose first container runs, and what it keeps ready by now. */
async function begun() {
  const runtime = await temporaryRuntime({ driver: 'overlay' });
  await imageWith(runtime, []);
  const reserve = join(runtime.data, 'reserve');
  const note = (id: string) => join(reserve, id, 'container.json');
  const first = await runtime.createContainer({ image: 'app', command });
  await first.start();
  expect(await until(() => names(reserve).some((id) => existsSync(note(id))), patienceMs)).toBe(true);
  const [id = ''] = names(reserve);
  // It is ready once it has its directories; those come after the lock.
  expect(await until(() => existsSync(join(reserve, id, 'upper')), patienceMs)).toBe(true);
  return { runtime, first, reserve, id, containers: join(runtime.data, 'containers') };
}

test('the next container of an image has the directory that was made ahead, and nobody else takes that for one', async () => {
  const { runtime, reserve, id, containers } = await begun();
  expect(names(containers)).toHaveLength(1);
  await runtime.images.prune();
  expect(names(reserve)).toEqual([id]);
  const ids: string[] = [];
  // It is the next one's a moment after its directories are there.
  for (let i = 0; i < 5 && !ids.includes(id); i++) {
    const next = await runtime.createContainer({ image: 'app', command });
    await next.start();
    ids.push(next.id);
  }
  expect(ids).toContain(id);
  expect(names(containers)).toContain(id);
  const found = await runtime.container(id);
  expect((await found.exec(['sh', '-c', 'echo kept > /file; cat /file'])).stdout).toBe('kept\n');
  await runtime[Symbol.asyncDispose]();
  expect([...names(containers), ...names(reserve)]).toEqual([]);
});

test('what was made ahead is for one image as for another: each container has its root directory’s mode', async () => {
  const { runtime } = await begun();
  await imageWith(runtime, [{ name: './', mode: 0o711 }], [], 'other');
  for (const [image, mode] of [
    ['other', '711'],
    ['app', '755'],
    ['other', '711'],
  ] as const) {
    const container = await runtime.createContainer({ image, command });
    await container.start();
    expect(await rootMode(container)).toBe(mode);
    await container.remove({ force: true });
  }
});

test('a container is made where what was made ahead, or all data of containers, has been removed by somebody', async () => {
  const { runtime, first, reserve, containers } = await begun();
  await first.remove({ force: true });
  for (const path of [containers, reserve]) {
    const isReady = () => names(reserve).some((id) => existsSync(join(reserve, id, 'upper')));
    expect(await until(isReady, patienceMs)).toBe(true);
    rmSync(path, { recursive: true, force: true });
    const container = await runtime.createContainer({ image: 'app', command });
    await container.start();
    expect(await rootMode(container)).toBe('755');
    await container.remove({ force: true });
  }
});

test('a container that is refused, or canceled, leaves nothing of what was made ahead', async () => {
  const { runtime, reserve, containers, id } = await begun();
  await expect(runtime.createContainer({ image: 'app', command: ['/no/such'] })).rejects.toMatchObject({
    code: 'ERR_EXEC',
  });
  await expect(runtime.createContainer({ image: 'missing:latest', pull: 'never' })).rejects.toMatchObject({
    code: 'ERR_NOT_FOUND',
  });
  expect(await until(() => !names(reserve).includes(id), patienceMs)).toBe(true);
  expect(names(containers)).toHaveLength(1);
});

test('what a process has left that was killed with its keeper goes with the next one; what somebody has locked stays', async () => {
  const { runtime, reserve, id } = await begun();
  const left = join(reserve, 'a'.repeat(64));
  mkdirSync(join(left, 'upper'), { recursive: true, mode: 0o700 });
  writeFileSync(join(left, 'container.json'), '', { mode: 0o600 });
  const other = createRuntime({ root: runtime.data, state: join(runtime.directory, 'other'), driver: 'overlay' });
  await using _ = other;
  await (await other.createContainer({ image: 'app', command })).start();
  expect(await until(() => !existsSync(left), patienceMs)).toBe(true);
  expect(names(reserve)).toContain(id);
});

test('what is being made ahead while its runtime ends leaves no descriptor', async () => {
  const notes = () => look().descriptors.filter((file) => file.includes('container.json'));
  for (let i = 0; i < 5; i++) {
    const runtime = await temporaryRuntime({ driver: 'overlay' });
    await imageWith(runtime, []);
    await runtime.run({ image: 'app', command: ['sleep', '0'] });
    await runtime[Symbol.asyncDispose]();
    expect(await until(() => notes().length === 0, 500)).toBe(true);
  }
});

test('what was made ahead goes with a process that is killed', async () => {
  const { runtime, reserve, id } = await begun();
  const program = `
    import { createRuntime } from '${new URL('../../dist/lib/index.js', import.meta.url).href}';
    import { existsSync, readdirSync } from 'node:fs';
    const [root, state] = process.argv.slice(1);
    const runtime = createRuntime({ root, state, driver: 'overlay' });
    const names = () => readdirSync(root + '/reserve').filter((name) => name !== '${id}');
    await (await runtime.createContainer({ image: 'app', command: ['sleep', '1000'] })).start();
    while (!names().some((name) => existsSync(root + '/reserve/' + name + '/upper'))) await new Promise(setImmediate);
    process.kill(process.pid, 'SIGKILL');`;
  const args = ['--input-type=module', '-e', program, runtime.data, join(runtime.directory, 'killed')];
  expect(spawnSync(process.execPath, args).signal).toBe('SIGKILL');
  expect(await until(() => names(reserve).length === 1, patienceMs)).toBe(true);
  expect(names(reserve)).toEqual([id]);
  expect(await until(() => names(join(runtime.data, 'containers')).length === 1, patienceMs)).toBe(true);
});
