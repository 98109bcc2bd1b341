import { expect } from 'vitest';
import { type Container, type ContainerOptions, createRuntime, type Runtime } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';

const test = testIf('userns');

const ownRuntime = async (): Promise<Runtime> => createRuntime({ root: await temporaryDirectory() });
const asleep = { host: true, command: ['sh', '-c', 'trap "" TERM; echo up; sleep 1000'] } as ContainerOptions & {
  host: true;
};

async function isUp(container: Container): Promise<void> {
  for await (const { text } of container.logs({ follow: true })) if (text === 'up') return;
}

const aborted = AbortSignal.abort(new Error('no more'));
const canceled = { code: 'ERR_CANCELED', cause: expect.objectContaining({ message: 'no more' }) };

test('nothing is begun after its signal: containers and volumes stay as they are', async () => {
  await using runtime = await ownRuntime();
  const container = await runtime.createContainer(asleep);
  await container.start();
  const { volumes } = runtime;
  await volumes.create({ name: 'kept' });
  const calls: readonly [string, () => Promise<unknown>][] = [
    ['stop', () => container.stop({ cancel: aborted })],
    ['remove', () => container.remove({ force: true, signal: aborted })],
    ['wait', () => container.wait({ signal: aborted })],
    ['volume create', () => volumes.create({ name: 'other' }, { signal: aborted })],
    ['volume get', () => volumes.get('kept', { signal: aborted })],
    ['volume list', () => volumes.list({}, { signal: aborted })],
    ['volume remove', () => volumes.remove('kept', { signal: aborted })],
    ['volume prune', () => volumes.prune({ all: true, signal: aborted })],
    ['image remove', () => runtime.images.remove('none', { signal: aborted })],
    ['image prune', () => runtime.images.prune({ signal: aborted })],
    ['verify', () => runtime.images.verify({ signal: aborted })],
  ];
  for (const [name, call] of calls) await expect(call(), name).rejects.toMatchObject(canceled);
  expect(container.status).toBe('running');
  expect((await volumes.list()).map(({ name }) => name)).toEqual(['kept']);
});

test('a stop that nobody waits for any more ends the container all the same', async () => {
  await using runtime = await ownRuntime();
  for (const detached of [false, true]) {
    const container = await runtime.createContainer({ ...asleep, detached });
    await container.start();
    await isUp(container);
    const giveUp = new AbortController();
    const stopping = container.stop({ grace: 500, cancel: giveUp.signal });
    giveUp.abort(new Error('no more'));
    await expect(stopping, String(detached)).rejects.toMatchObject(canceled);
    // Of a detached one that was killed with its process 1 nobody could note how it ended.
    expect(await container.wait()).toMatchObject({ exitCode: undefined });
    expect(container.status).toBe('stopped');
    await container.remove();
  }
});

test('a removal that nobody waits for any more leaves nothing', async () => {
  await using runtime = await ownRuntime();
  const container = await runtime.createContainer(asleep);
  await container.start();
  const giveUp = new AbortController();
  const removing = container.remove({ force: true, signal: giveUp.signal });
  giveUp.abort(new Error('no more'));
  await expect(removing).rejects.toMatchObject(canceled);
  await container.remove({ force: true });
  expect(await runtime.containers()).toEqual([]);
});

test('what is given as a signal and is none is refused in words', async () => {
  await using runtime = await ownRuntime();
  await expect(runtime.volumes.list({}, { signal: {} as AbortSignal })).rejects.toMatchObject({
    code: 'ERR_SPEC',
    issues: [expect.objectContaining({ path: '/signal' })],
  });
});
