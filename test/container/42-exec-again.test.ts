import { readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest';
import type { SpawnRequest } from '../../lib/host/host.ts';
import type { Container, ContainerOptions } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { Runtime } from '../../lib/runtime.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { can, patience, testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

const test = testIf('userns', 'busybox');

let rootfs: TemporaryDirectory;
beforeAll(() => {
  rootfs = can('busybox') === true ? busyboxRoot() : temporaryDirectory();
});
afterAll(() => rootfs.remove());

/** A container that waits, and how the inits of what is executed in it were asked for: with all they need at hand, or not. */
async function waiting(more: Partial<ContainerOptions> = {}) {
  const directory = temporaryDirectory();
  const atHand: boolean[] = [];
  const host = createHost();
  const spawn = (request: SpawnRequest) => {
    // A zygote has none.
    if (request.errand !== undefined) atHand.push(typeof request.errand === 'object');
    return host.processes.spawn(request);
  };
  const paths = { dataDirectory: join(directory.path, 'data'), stateDirectory: join(directory.path, 'state') };
  const processes = { ...host.processes, spawn };
  const runtime = new Runtime({ ...host, processes, environment: { ...host.environment, ...paths } });
  onTestFinished(async () => {
    await runtime[Symbol.asyncDispose]();
    directory.remove();
  });
  const options = { rootfs: rootfs.path, command: ['sleep', '1000'], ...more } as ContainerOptions;
  const container = await runtime.createContainer(options);
  await container.start();
  atHand.length = 0;
  return { container, atHand };
}

test('a command that is asked for again has all that it needs when its init begins', async () => {
  const { container, atHand } = await waiting();
  const run = () => container.exec(['sh', '-c', 'echo out; echo err >&2; exit 3'], { reject: false });
  for (let i = 0; i < 3; i++) {
    expect(await run()).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', failed: true, timedOut: false });
  }
  expect(atHand).toEqual([false, true, true]);
});

test('its namespaces, its cgroup, its environment and its user are those of the first time', async () => {
  const { container } = await waiting({ env: { OF: 'container' } });
  const script =
    'for n in /proc/self/ns/*; do readlink $n; done; cat /proc/self/cgroup; id; env; umask; grep Cap /proc/self/status';
  const run = async () => (await container.exec(['sh', '-c', script], { env: { OWN: 'command' }, cwd: '/tmp' })).stdout;
  const first = await run();
  expect(first).toContain('OWN=command');
  expect(first).toContain('OF=container');
  expect(await run()).toBe(first);
});

test('another one is another one', async () => {
  const { container, atHand } = await waiting();
  const words = ['echo', '0'];
  const options = { env: { A: '0' }, reject: false };
  for (let i = 0; i < 3; i++) {
    words[1] = String(i);
    expect((await container.exec(words)).stdout).toBe(`${i}\n`);
    options.env.A = String(i);
    expect((await container.exec(['sh', '-c', 'echo $A'], options)).stdout).toBe(`${i}\n`);
  }
  expect(new Set(atHand)).toEqual(new Set([false]));
});

test('what is asked for with a user, a terminal, an input or a signal is not at hand', async () => {
  const { container, atHand } = await waiting();
  const { signal } = new AbortController();
  for (let i = 0; i < 2; i++) {
    expect((await container.exec(['id', '-u'], { user: '0' })).stdout).toBe('0\n');
    expect((await container.exec(['cat'], { input: 'text' })).stdout).toBe('text');
    expect((await container.exec(['echo', 'signal'], { signal })).stdout).toBe('signal\n');
    expect((await container.exec(['tty'], { tty: true })).stdout).toContain('/dev/pts/');
  }
  expect(new Set(atHand)).toEqual(new Set([false]));
});

describe('one that ends in another way', () => {
  test('is told of as the first time: it cannot be executed any more', async () => {
    const own = busyboxRoot();
    onTestFinished(() => own.remove());
    const { container } = await waiting({ rootfs: own.path, command: ['/bin/sleep', '1000'] });
    const before = look();
    for (let i = 0; i < 2; i++) await container.exec(['/bin/true']);
    rmSync(join(own.path, 'bin/true'));
    for (let i = 0; i < 2; i++) {
      await expect(container.exec(['/bin/true'])).rejects.toMatchObject({
        code: 'ERR_EXEC',
        exit: 127,
        failure: { errno: 'ENOENT' },
      });
    }
    await expectUnchanged(before);
  });

  test('runs out of time', async () => {
    const { container } = await waiting();
    const run = () => container.exec(['sleep', '1000'], { timeout: 200 * patience, reject: false });
    const before = look();
    for (let i = 0; i < 2; i++) expect(await run()).toMatchObject({ timedOut: true, failed: true });
    await expectUnchanged(before);
  });

  test('is killed', async () => {
    const { container } = await waiting();
    const run = () => container.exec(['sh', '-c', 'kill -9 $$'], { reject: false });
    for (let i = 0; i < 3; i++) expect(await run()).toMatchObject({ exitCode: undefined, signal: 'SIGKILL' });
  });

  test('finds its container ended', async () => {
    const { container } = await waiting();
    const run = (of: Container) => of.exec(['true']);
    for (let i = 0; i < 2; i++) await run(container);
    await container.kill();
    // It may still begin, or be killed with it.
    const last = await run(container).catch((error: unknown) => error);
    expect(last).toSatisfy(
      ({ code, exitCode, signal }) =>
        code === 'ERR_STATE' || code === 'ERR_EXIT' || exitCode === 0 || signal === 'SIGKILL',
    );
    await container.wait();
    await expect(run(container)).rejects.toMatchObject({ code: 'ERR_STATE' });
  });
});

test('one that writes much is read to its end', async () => {
  const { container } = await waiting();
  const script = 'head -c 1000000 /dev/zero | tr "\\0" x';
  for (let i = 0; i < 3; i++) expect((await container.exec(['sh', '-c', script])).stdout).toBe('x'.repeat(1_000_000));
});

test('a hundred of them, eight at once, leave nothing', async () => {
  const { container } = await waiting();
  const run = () => container.exec(['hostname']);
  const name = (await run()).stdout;
  const before = look();
  let left = 100;
  const worker = async () => {
    while (left-- > 0) expect((await run()).stdout).toBe(name);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  await expectUnchanged(before);
});

test('the next run of a container that is started again is another one', async () => {
  const { container } = await waiting({ restart: 'always' });
  const pidOf = async () => (await container.inspect()).pid!;
  const namespace = async () => (await container.exec(['readlink', '/proc/self/ns/mnt'])).stdout.trim();
  const itsOwn = async () => readlinkSync(`/proc/${await pidOf()}/ns/mnt`);
  for (let i = 0; i < 2; i++) expect(await namespace()).toBe(await itsOwn());
  const pid = await pidOf();
  await container.kill('SIGKILL');
  await expect.poll(async () => (await container.inspect()).status === 'running' && (await pidOf()) !== pid).toBe(true);
  for (let i = 0; i < 2; i++) expect(await namespace()).toBe(await itsOwn());
});
