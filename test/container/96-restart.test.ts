import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import {
  type Container,
  type ContainerOptions,
  createRuntime,
  type Runtime,
  type RuntimeEvent,
} from '../../lib/index.ts';
import { busyboxImage } from '../support/busybox-image.ts';
import { descendants, expectUnchanged, look } from '../support/look.ts';
import { removeData } from '../support/remove-data.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { busyboxRoot } from '../support/rootfs.ts';
import { temporaryDirectory } from '../support/unpacked.ts';

const test = testIf('userns');

const ownRuntime = async (): Promise<Runtime> => createRuntime({ root: await temporaryDirectory(), ephemeral: true });

const shell = (script: string, more: object = {}) =>
  ({ host: true, command: ['sh', '-c', script], ...more }) as ContainerOptions & { host: true };

async function texts(container: Container): Promise<string[]> {
  const found: string[] = [];
  for await (const { text } of container.logs()) found.push(text);
  return found;
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const giveUp = performance.now() + patienceMs;
  while (!(await holds())) {
    if (performance.now() > giveUp) throw new Error('it did not come to be');
    await sleep(20);
  }
}

const actionsOf = (events: readonly RuntimeEvent[]) =>
  events.filter(({ type }) => type === 'container').map(({ action }) => action);

/** What happens in a runtime, as it is told. */
function listen(runtime: Runtime): RuntimeEvent[] {
  const seen: RuntimeEvent[] = [];
  void (async () => {
    for await (const event of runtime.events()) seen.push(event);
  })();
  return seen;
}

test('a container that fails is started again so many times, with one log and all its events; wait has the last end', async () => {
  await using runtime = await ownRuntime();
  const seen = listen(runtime);
  const container = await runtime.createContainer(
    shell('printf run; exit 3', { restart: { policy: 'on-failure', retries: 2 } }),
  );
  const followed: string[] = [];
  const written: Buffer[] = [];
  container.stdout!.on('data', (chunk: Buffer) => written.push(chunk));
  const read = new Promise((resolve) => container.stdout!.once('end', resolve));
  await container.start();
  for await (const { text } of container.logs({ follow: true })) followed.push(text);
  expect(await container.wait()).toMatchObject({ exitCode: 3 });
  await read;
  expect(followed).toEqual(['run', 'run', 'run']);
  expect(Buffer.concat(written).toString()).toBe('runrunrun');
  expect(await container.inspect()).toMatchObject({ restarts: 2, status: 'stopped', exit: { exitCode: 3 } });
  await container.remove();
  await until(() => actionsOf(seen).includes('remove'));
  const run = ['start', 'exit'];
  expect(actionsOf(seen)).toEqual(['create', ...run, ...run, ...run, 'remove']);
});

test('an end with 0 is none to start again after, by the policy of failures', async () => {
  await using runtime = await ownRuntime();
  const container = await runtime.createContainer(shell('echo once', { restart: 'on-failure' }));
  await container.start();
  expect(await container.wait()).toMatchObject({ exitCode: 0 });
  expect((await container.inspect()).restarts).toBe(0);
  expect(await texts(container)).toEqual(['once']);
});

test('one that is killed runs again with another process, takes commands, and ends for good by stop', async () => {
  await using runtime = await ownRuntime();
  const container = await runtime.createContainer(shell('sleep 1000', { restart: 'always' }));
  await container.start();
  const waiting = container.wait();
  const first = container.pid;
  await container.kill();
  await until(() => container.status === 'running' && container.pid !== first);
  expect((await container.exec(['echo', 'here'])).stdout).toBe('here\n');
  const exit = await container.stop({ grace: 0 });
  expect(await waiting).toEqual(exit);
  const { restarts } = await container.inspect();
  await sleep(300); // longer than its first pause
  expect(await container.inspect()).toMatchObject({ status: 'stopped', restarts });
  expect(await container.stop()).toEqual(exit);
});

test('a stop or a removal between two runs is the last word, and leaves nothing', async () => {
  await using runtime = await ownRuntime();
  const before = descendants().length;
  const make = async (): Promise<Container> => {
    const container = await runtime.createContainer(shell('exit 1', { restart: 'unless-stopped' }));
    await container.start();
    // After some runs the pauses are long enough to be met.
    await until(async () => (await container.inspect()).restarts >= 2 && container.status === 'stopped');
    return container;
  };
  const stopped = await make();
  expect(await stopped.stop()).toMatchObject({ exitCode: 1 });
  expect(await stopped.wait()).toMatchObject({ exitCode: 1 });
  const removed = await make();
  const waiting = removed.wait();
  await removed.remove();
  expect(await waiting).toMatchObject({ exitCode: 1 });
  await stopped.remove();
  expect(await runtime.containers()).toEqual([]);
  await runtime[Symbol.asyncDispose]();
  expect(descendants().length).toBeLessThanOrEqual(before);
});

test('a run that writes nothing and ends at once is followed by others', async () => {
  await using runtime = await ownRuntime();
  const container = await runtime.createContainer({
    host: true,
    command: ['false'],
    restart: { policy: 'on-failure', retries: 5 },
  });
  await container.start();
  expect(await container.wait()).toMatchObject({ exitCode: 1 });
  expect((await container.inspect()).restarts).toBe(5);
});

test('removed at any moment of its runs, it leaves no process and no file', async () => {
  const root = await temporaryDirectory();
  const before = look({ directories: [root] });
  const runtime = createRuntime({ root });
  for (let ms = 0; ms < 60; ms += 10) {
    const container = await runtime.createContainer(shell('exit 1', { restart: 'always' }));
    await container.start();
    await until(async () => (await container.inspect()).restarts >= 1);
    await sleep(ms * 4);
    await container.remove({ force: true });
  }
  await runtime[Symbol.asyncDispose]();
  expect(readdirSync(root, { recursive: true }).filter((name) => /[0-9a-f]{64}/.test(String(name)))).toEqual([]);
  rmSync(root, { recursive: true });
  mkdirSync(root);
  await expectUnchanged(before, { directories: [root] });
});

testIf('userns', 'busybox')('what it wrote to its files is there in the next run', async () => {
  await using runtime = await ownRuntime();
  const { directory, path: image } = busyboxImage();
  onTestFinished(() => removeData(directory));
  const container = await runtime.createContainer({
    image,
    command: ['sh', '-c', 'echo run >> /kept; cat /kept; test $(wc -l < /kept) -ge 3'],
    restart: 'on-failure',
  });
  await container.start();
  expect(await container.wait()).toMatchObject({ exitCode: 0 });
  expect((await container.inspect()).restarts).toBe(2);
  expect((await texts(container)).length).toBe(1 + 2 + 3);
});

testIf('userns', 'busybox')('a start waits through the runs until it is ready', async () => {
  await using runtime = await ownRuntime();
  const { directory, path: image } = busyboxImage();
  onTestFinished(() => removeData(directory));
  const container = await runtime.createContainer({
    image,
    command: ['sh', '-c', 'echo x >> /runs; test $(wc -l < /runs) -ge 3 || exit 1; echo up; exec sleep 1000'],
    restart: 'on-failure',
    ready: async (it: Container, signal: AbortSignal) => {
      for await (const { text } of it.logs({ follow: true, signal })) if (text === 'up') return;
    },
  });
  await container.start();
  expect(container.status).toBe('running');
  await container.stop({ grace: 0 });
});

testIf('userns', 'busybox')('one that cannot be started again says why to who waits', async () => {
  await using runtime = await ownRuntime();
  const { path, remove } = busyboxRoot();
  onTestFinished(remove);
  const container = await runtime.createContainer({ rootfs: path, command: ['sleep', '1000'], restart: 'always' });
  await container.start();
  const waiting = expect(container.wait()).rejects.toMatchObject({ code: 'ERR_EXEC' });
  rmSync(`${path}/bin/busybox`);
  await container.kill();
  await waiting;
  expect(await container.inspect()).toMatchObject({ status: 'stopped', exit: { signal: 'SIGKILL' }, restarts: 0 });
});

test('what each run would have to have anew is refused in words', async () => {
  await using runtime = await ownRuntime();
  const refused: readonly [object, string][] = [
    [{ tty: true }, '/tty'],
    [{ stdin: 'pipe' }, '/stdin'],
    [{ stdout: 1 }, '/stdout'],
    [{ stderr: 2 }, '/stderr'],
  ];
  for (const [more, path] of refused) {
    await expect(runtime.createContainer(shell('true', { restart: 'always', ...more })), path).rejects.toMatchObject({
      code: 'ERR_SPEC',
      issues: [expect.objectContaining({ path })],
    });
  }
  await expect(runtime.run(shell('true', { restart: 'always' }))).rejects.toMatchObject({
    code: 'ERR_SPEC',
    issues: [expect.objectContaining({ path: '/restart' })],
  });
});
