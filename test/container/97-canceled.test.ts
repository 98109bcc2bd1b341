import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { expect } from 'vitest';
import { type Container, type ContainerOptions, createRuntime, type Runtime } from '../../lib/index.ts';
import { tar } from '../support/archives.ts';
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
    ['volume survey', () => volumes.survey({}, { signal: aborted })],
    ['restore', () => runtime.restore({ signal: aborted })],
    ['check', () => runtime.check({ signal: aborted })],
    ['image get', () => runtime.images.get('none', { signal: aborted })],
    ['image list', () => runtime.images.list({}, { signal: aborted })],
    ['image inspect', () => runtime.images.inspect('none', { signal: aborted })],
    ['image history', () => runtime.images.history('none', { signal: aborted })],
    ['image tag', () => runtime.images.tag('none', 'other', { signal: aborted })],
    ['image save', () => runtime.images.save(['none'], 'docker-archive', { signal: aborted })],
    ['image damaged', () => runtime.images.damaged({ signal: aborted })],
    ['image remove', () => runtime.images.remove('none', { signal: aborted })],
    ['image prune', () => runtime.images.prune({ signal: aborted })],
    ['verify', () => runtime.images.verify({ signal: aborted })],
  ];
  for (const [name, call] of calls) await expect(call(), name).rejects.toMatchObject(canceled);
  expect(container.status).toBe('running');
  expect((await volumes.list()).map(({ name }) => name)).toEqual(['kept']);
});

test('what is saved ends with the signal, and leaves no file', async () => {
  await using runtime = await ownRuntime();
  const { images } = runtime;
  await images.import(Readable.from([tar({ name: 'big', content: Buffer.alloc(2_000_000) })]), { reference: 'big' });
  const giveUp = new AbortController();
  const reading = (await images.save(['big'], 'docker-archive', { signal: giveUp.signal }))[Symbol.asyncIterator]();
  await reading.next();
  giveUp.abort(new Error('no more'));
  const rest = async (): Promise<void> => {
    while (!(await reading.next()).done);
  };
  await expect(rest()).rejects.toMatchObject(canceled);
  const directory = await temporaryDirectory();
  const during = new AbortController();
  const saved = images.saveTo(['big'], join(directory, 'big.tar'), { signal: during.signal });
  during.abort(new Error('no more'));
  await expect(saved).rejects.toMatchObject(canceled);
  expect(readdirSync(directory)).toEqual([]);
});

test('an image whose source says nothing more is given up at the signal', async () => {
  await using runtime = await ownRuntime();
  for (const verb of ['import', 'load'] as const) {
    const giveUp = new AbortController();
    const source = new Readable({ read: () => undefined });
    const reading = runtime.images[verb](source, { signal: giveUp.signal });
    source.push(Buffer.alloc(512));
    while (!source.readableDidRead) await setImmediate();
    giveUp.abort(new Error('no more'));
    await expect(reading, verb).rejects.toMatchObject(canceled);
    expect(source.destroyed).toBe(true);
  }
  expect(await runtime.images.list()).toEqual([]);
});

test('after its signal, restore() starts no other container', async () => {
  const root = await temporaryDirectory();
  await using first = createRuntime({ root });
  const always = { ...asleep, detached: true, restart: 'always' } as const;
  const container = await first.createContainer({ ...always, name: 'one' });
  await container.start();
  await container.stop({ grace: 0 });
  await using second = createRuntime({ root });
  const giveUp = new AbortController();
  const restoring = second.restore({ signal: giveUp.signal });
  giveUp.abort(new Error('no more'));
  await expect(restoring).rejects.toMatchObject(canceled);
  await second[Symbol.asyncDispose](); // it waits for what restore() still does
  expect((await container.inspect()).status).toBe('stopped');
  await using third = createRuntime({ root });
  await third.restore();
  expect((await container.inspect()).status).toBe('running');
  await container.remove({ force: true });
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
