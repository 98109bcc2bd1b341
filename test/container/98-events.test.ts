import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { createRuntime, type RuntimeEvent } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns');

const ownRuntime = () => {
  const root = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return createRuntime({ root, ephemeral: true });
};

test('events of containers and volumes come in their order, and end with the runtime', async () => {
  const runtime = ownRuntime();
  const seen: RuntimeEvent[] = [];
  const events = runtime.events();
  const listening = (async () => {
    for await (const event of events) seen.push(event);
  })();
  const container = await runtime.createContainer({ host: true, name: 'one', command: ['sh', '-c', 'sleep 1000'] });
  await container.start();
  await container.exec(['true']);
  await container.kill();
  await container.wait();
  await container.remove();
  await runtime.volumes.create({ name: 'kept' });
  await runtime.volumes.remove('kept');
  await runtime[Symbol.asyncDispose]();
  await listening;
  expect(seen.map(({ type, action }) => `${type} ${action}`)).toEqual([
    'container create',
    'container start',
    'container exec',
    'container exit',
    'container remove',
    'volume create',
    'volume remove',
  ]);
  expect(seen[3]).toMatchObject({ id: container.id, name: 'one', exit: { signal: 'SIGKILL' } });
});

test('who asks for the past gets it, and a signal ends the waiting', async () => {
  await using runtime = ownRuntime();
  const since = new Date();
  await runtime.run({ host: true, command: ['true'] });
  const controller = new AbortController();
  const actions: string[] = [];
  for await (const { action } of runtime.events({ since, signal: controller.signal })) {
    actions.push(action);
    if (action === 'remove') controller.abort();
  }
  expect(actions).toEqual(['create', 'start', 'exit', 'remove']);
});

test('containers are found by name, id, label and state', async () => {
  await using runtime = ownRuntime();
  const make = (name: string, labels: Record<string, string>) =>
    runtime.createContainer({ host: true, name, labels, command: ['sleep', '1000'] });
  const [a, b] = await Promise.all([make('a', { tier: 'web', x: '1' }), make('b', { tier: 'db' })]);
  await b.start();
  const names = async (filter: Parameters<typeof runtime.containers>[0]) =>
    (await runtime.containers(filter)).map(({ name }) => name).sort();
  expect(await names({})).toEqual(['a', 'b']);
  expect(await names({ status: 'running' })).toEqual(['b']);
  expect(await names({ labels: { tier: 'web' } })).toEqual(['a']);
  expect(await names({ labels: { tier: 'web' }, status: 'running' })).toEqual([]);
  expect(await runtime.container('a')).toBe(a);
  expect(await runtime.container(b.id)).toBe(b);
  expect(await runtime.container(b.id.slice(0, 20))).toBe(b);
  await expect(runtime.container('none')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

test('a name is of one container at a time, also while it is being made', async () => {
  await using runtime = ownRuntime();
  const make = () => runtime.createContainer({ host: true, command: ['sleep', '1000'], name: 'one' });
  const made = await Promise.allSettled([make(), make()]);
  const refused = made.filter((each) => each.status === 'rejected').map(({ reason }) => reason);
  expect(refused).toEqual([expect.objectContaining({ code: 'ERR_EXISTS', origin: '/name' })]);
  await (await runtime.container('one')).remove();
  const again = await make();
  expect(await runtime.container('one')).toBe(again);
  await again.remove();
  // What fails gives its name back.
  await expect(
    runtime.createContainer({ rootfs: '/nowhere/at/all', command: ['true'], name: 'one' }),
  ).rejects.toThrow();
  await (await make()).remove();
});

test('whether a runtime is ephemeral is yes or no', () => {
  expect(() => createRuntime({ ephemeral: 'yes' as never })).toThrow(expect.objectContaining({ code: 'ERR_SPEC' }));
});
