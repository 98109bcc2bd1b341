import { afterEach, beforeEach, expect } from 'vitest';
import { createRuntime, type Runtime } from '../../lib/index.ts';
import { expectUnchanged, isAlive, type Look, look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

const test = testIf('userns');

let directory: TemporaryDirectory;
let runtime: Runtime;
let before: Look;
const here = () => ({ directories: [directory.path] });

beforeEach(async () => {
  directory = temporaryDirectory();
  runtime = createRuntime({ root: `${directory.path}/data`, state: `${directory.path}/state` });
  // Once, so that what Node itself opens for the first time is open.
  await runtime.run({ host: true, command: ['true'] }).catch(() => {});
  before = look(here());
});
afterEach(async () => {
  await runtime[Symbol.asyncDispose]();
  await expectUnchanged(before, here());
  directory.remove();
});

const sleeper = { host: true as const, command: ['sleep', '1000'] };

test('leaving the scope ends and removes a container', async () => {
  let pid: number;
  {
    await using container = await runtime.createContainer(sleeper);
    await container.start();
    pid = container.pid as number;
    expect(isAlive(pid)).toBe(true);
  }
  expect(isAlive(pid)).toBe(false);
  expect(await runtime.containers()).toEqual([]);
});

test('a container that was never started leaves nothing', async () => {
  const container = await runtime.createContainer(sleeper);
  expect(container.status).toBe('created');
  expect(container.pid).toBeGreaterThan(0);
  await container.remove();
  expect(container.pid).toBeUndefined();
  await expect(container.start()).rejects.toMatchObject({ code: 'ERR_STATE' });
});

test('removing twice, at once and after another, is fine', async () => {
  const container = await runtime.createContainer(sleeper);
  await container.start();
  await Promise.all([container.remove({ force: true }), container.remove({ force: true })]);
  await container.remove();
  await container[Symbol.asyncDispose]();
});

test('a container that runs is not removed unless by force', async () => {
  const container = await runtime.createContainer(sleeper);
  await container.start();
  await expect(container.remove()).rejects.toMatchObject({ code: 'ERR_STATE', hint: expect.stringContaining('force') });
  expect(container.status).toBe('running');
  await container.remove({ force: true });
  expect(container.status).toBe('stopped');
});

test('removing while it starts ends in one clear way', async () => {
  for (let i = 0; i < 10; i++) {
    const container = await runtime.createContainer(sleeper);
    const starting = container.start().then(
      () => undefined,
      (error: unknown) => error,
    );
    await new Promise((resolve) => setTimeout(resolve, i / 2));
    await container.remove({ force: true });
    const error = await starting;
    if (error !== undefined) expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_(STATE|SETUP)$/) });
  }
});

test('a runtime that is disposed takes all of its containers along', async () => {
  const containers = await Promise.all([1, 2, 3].map(() => runtime.createContainer(sleeper)));
  await containers[0]?.start();
  await containers[1]?.start();
  expect((await runtime.containers()).map(({ status }) => status).sort()).toEqual(['created', 'running', 'running']);
  await runtime[Symbol.asyncDispose]();
  expect(await runtime.containers()).toEqual([]);
  for (const container of containers) expect(container.status).toBe('stopped');
});

test('a container that is made while its runtime is disposed does not stay', async () => {
  const making = runtime.createContainer(sleeper).then(
    (container) => container,
    () => undefined,
  );
  await runtime[Symbol.asyncDispose]();
  const container = await making;
  expect(container === undefined || container.status === 'stopped').toBe(true);
  await expect(runtime.createContainer(sleeper)).rejects.toMatchObject({ code: 'ERR_STATE' });
});

test('32 containers at once each have their own output', async () => {
  const numbers = Array.from({ length: 32 }, (_, i) => i);
  const results = await Promise.all(
    numbers.map((i) => runtime.run({ host: true, command: ['sh', '-c', `echo ${i}; exit ${i}`], reject: false })),
  );
  expect(results.map(({ stdout, exitCode }) => [stdout, exitCode])).toEqual(numbers.map((i) => [`${i}\n`, i]));
});

test('a failed start removes the container', async () => {
  const container = await runtime.createContainer({ ...sleeper, ready: () => Promise.reject(new Error('not so')) });
  await expect(container.start()).rejects.toThrow('not so');
  expect(container.status).toBe('stopped');
  expect(await runtime.containers()).toEqual([]);
});

test('a command that ends before it is ready says its last words', async () => {
  const container = await runtime.createContainer({
    host: true,
    command: ['sh', '-c', 'echo "no database"; exit 3'],
    ready: () => new Promise(() => {}),
  });
  await expect(container.start()).rejects.toMatchObject({
    code: 'ERR_NOT_READY',
    message: expect.stringMatching(/exit code 3.*\n {2}no database/s),
  });
});

test('a start that takes too long is an error, and the container is gone', async () => {
  const container = await runtime.createContainer({ ...sleeper, ready: () => new Promise(() => {}) });
  await expect(container.start({ timeout: 100 })).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  expect(container.status).toBe('stopped');
});

test('inspect tells what there is to know', async () => {
  const container = await runtime.createContainer({ ...sleeper, name: 'box', labels: { a: 'b' } });
  expect(await container.inspect()).toMatchObject({
    name: 'box',
    status: 'created',
    command: ['sleep', '1000'],
    labels: { a: 'b' },
    exit: undefined,
  });
  await container.start();
  await container.stop();
  expect(await container.inspect()).toMatchObject({ status: 'stopped', pid: undefined, exit: { signal: 'SIGTERM' } });
});
