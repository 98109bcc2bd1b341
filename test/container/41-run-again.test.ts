import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest';
import type { SpawnRequest } from '../../lib/host/host.ts';
import { briefMs } from '../../lib/host/walk.ts';
import { type ContainerEvent, type ContainerOptions, ExitError, type RunOptions } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { observed } from '../../lib/node/observed.ts';
import { Runtime } from '../../lib/runtime.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { can, patience, testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

// Of containers whose inits have all they need from the beginning: without id maps, or with one that is ours to write.
const test = testIf('userns', 'busybox');
const single = (id: number) => [{ container: 0, host: id, size: 1 }];
const isRoot = process.getuid!() === 0;
const userns = isRoot ? ('host' as const) : { uids: single(process.getuid!()), gids: single(process.getgid!()) };

let rootfs: TemporaryDirectory;
beforeAll(() => {
  rootfs = can('busybox') === true ? busyboxRoot() : temporaryDirectory();
});
afterAll(() => rootfs.remove());

type Options = ContainerOptions & RunOptions;

/** A runtime of its own, and what it asks its host for. */
function runtime() {
  const calls: string[] = [];
  const directory = temporaryDirectory();
  const stays: (number | undefined)[] = [];
  const real = createHost();
  const heard = { news: () => {} };
  const spawn = async (request: SpawnRequest) => {
    stays.push(request.stayMs);
    const session = await real.processes.spawn(request);
    heard.news();
    return session;
  };
  const watched = { ...real, processes: { ...real.processes, spawn } };
  const host = observed(watched, (line) => calls.push(line.replace(/\(.*/s, '')));
  const paths = { dataDirectory: join(directory.path, 'data'), stateDirectory: join(directory.path, 'state') };
  const made = new Runtime({ ...host, environment: { ...host.environment, ...paths } });
  onTestFinished(async () => {
    await made[Symbol.asyncDispose]();
    directory.remove();
  });
  /** What a run makes of the host's ports. */
  const callsOf = async (options: Options) => {
    calls.length = 0;
    const result = await made.run(options);
    return { result, calls: [...calls] };
  };
  /**
   * Until one of them is a single call: on a busy machine others take longer, and become containers. Gives its result. On a slow
   * one, emulated say, all of them do.
   */
  const inOneGo = async (options: Options, tries = 20) => {
    const times: number[] = [];
    for (;;) {
      const { result, calls: all } = await callsOf(options);
      const isSingle = all.length === 1 && all[0] === 'processes.spawn';
      times.push(result.durationMs);
      const median = times.toSorted((a, b) => a - b)[times.length >> 1]!;
      const isSlow = times.length >= 20 && median > 2 * briefMs;
      if (isSingle || isSlow || times.length === tries) return { ...result, isSingle, isSlow };
    }
  };
  /** So often that it is known. */
  const learn = async (options: Options) => {
    const again = { ...options, reject: false } as Options;
    await inOneGo(again);
    return again;
  };
  return { runtime: made, callsOf, inOneGo, learn, stays, heard };
}

const shell = (script: string, more: Partial<Options> = {}): Options =>
  ({ rootfs: rootfs.path, userns, command: ['sh', '-c', script], ...more }) as Options;

test('a run that is asked for a third time is one call of the host', async () => {
  const { inOneGo } = runtime();
  const { isSingle, isSlow, ...result } = await inOneGo(
    shell('echo out; echo err >&2; exit 3', { reject: false }),
    200,
  );
  expect(isSingle || isSlow).toBe(true);
  expect(result).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n', failed: true, timedOut: false });
  expect(result.command).toEqual(['sh', '-c', 'echo out; echo err >&2; exit 3']);
});

test('before it is told how it has ended all goes first that has come meanwhile', async () => {
  const { inOneGo, learn, heard } = runtime();
  const again = await learn(shell('true'));
  let came: string[] = [];
  heard.news = () => {
    came = [];
    setImmediate(() => came.push('what waited'));
    const read = new MessageChannel();
    read.port1.once('message', () => {
      came.push('what came');
      read.port1.close();
    });
    read.port2.postMessage('');
  };
  const { isSlow } = await inOneGo(again);
  expect(came.sort()).toEqual(isSlow ? expect.anything() : ['what came', 'what waited']);
});

test('nobody stays with an init that waits for us', async () => {
  const { runtime: own, stays } = runtime();
  await own.run(shell('true'));
  expect(stays.splice(0)).toEqual([10]);
  // For what is written to its command, or for its id maps.
  await own.run(shell('cat', { input: 'text' }));
  if (isRoot) await own.run(shell('true', { userns: 'auto' }));
  await (await own.createContainer(shell('true') as ContainerOptions)).remove();
  expect(stays.filter((ms) => ms !== undefined)).toEqual([]);
});

test('each exit code is the command’s, also those that a runtime has for itself', async () => {
  const { runtime: own } = runtime();
  for (const code of [125, 126, 127, 255]) {
    for (let i = 0; i < 4; i++) {
      const { exitCode } = await own.run(shell(`exit ${code}`, { init: false, reject: false }));
      expect(exitCode).toBe(code);
    }
  }
});

test('its signal is looked at each time', async () => {
  const { runtime: own, learn } = runtime();
  const again = await learn(shell('true'));
  const signal = {} as AbortSignal;
  await expect(own.run({ ...again, signal } as Options)).rejects.toMatchObject({ code: 'ERR_SPEC' });
});

test('each has an id of its own', async () => {
  const { runtime: own } = runtime();
  const names: string[] = [];
  for (let i = 0; i < 6; i++) names.push((await own.run(shell('hostname'))).stdout.trim());
  expect(new Set(names).size).toBe(6);
  for (const name of names) expect(name).toMatch(/^[0-9a-f]{12}$/);
});

test('what it is told of an end is what it would be told the first time', async () => {
  const { callsOf, learn } = runtime();
  const again = await learn(shell('kill -9 $$'));
  expect((await callsOf(again)).result).toMatchObject({ exitCode: undefined, signal: 'SIGKILL', failed: true });
  const fails = shell('echo last words >&2; exit 7');
  await learn(fails);
  const { runtime: own } = runtime();
  for (let i = 0; i < 5; i++) {
    const error = await own.run(fails).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ExitError);
    expect(error).toMatchObject({ code: 'ERR_EXIT', exit: 7, message: expect.stringContaining('last words') });
  }
});

test('its events come in their order', async () => {
  const { runtime: own } = runtime();
  const seen: ContainerEvent[] = [];
  const stop = new AbortController();
  const listening = (async () => {
    for await (const event of own.events({ signal: stop.signal })) if (event.type === 'container') seen.push(event);
  })().catch(() => {});
  for (let i = 0; i < 5; i++) await own.run(shell('true'));
  await expect.poll(() => seen.length).toBe(20);
  stop.abort();
  await listening;
  const actions = seen.map(({ action }) => action);
  expect(actions).toEqual(Array.from({ length: 5 }, () => ['create', 'start', 'exit', 'remove']).flat());
  const last = seen.slice(-4);
  expect(new Set(last.map(({ id }) => id)).size).toBe(1);
  expect(last[2]).toMatchObject({ exit: { exitCode: 0 }, name: last[0]!.id.slice(0, 12) });
});

describe('what has changed meanwhile counts', () => {
  const bundle = (args: readonly string[]) => {
    const directory = temporaryDirectory();
    onTestFinished(() => directory.remove());
    const spec = defaultSpec();
    const write = (words: readonly string[]) => {
      const command = { ...spec.process, terminal: false, args: words };
      const namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'user' || !isRoot);
      const [uidMappings, gidMappings] = [process.getuid!(), process.getgid!()].map((id) =>
        isRoot ? undefined : [{ containerID: 0, hostID: id, size: 1 }],
      );
      const linux = { ...spec.linux, namespaces, uidMappings, gidMappings };
      const config = { ...spec, linux, root: { path: rootfs.path, readonly: true }, process: command };
      writeFileSync(join(directory.path, 'config.json'), JSON.stringify(config));
    };
    write(args);
    return { path: directory.path, write };
  };

  test('the configuration of a bundle', async () => {
    const { callsOf, inOneGo, learn } = runtime();
    const { path, write } = bundle(['/bin/echo', 'one']);
    const again = await learn({ bundle: path });
    expect(await inOneGo(again)).toMatchObject({ stdout: 'one\n' });
    // Of the same length.
    write(['/bin/echo', 'two']);
    expect((await callsOf(again)).result.stdout).toBe('two\n');
    expect(await inOneGo(again)).toMatchObject({ stdout: 'two\n' });
    write(['/bin/echo', 'three']);
    expect((await callsOf(again)).result.stdout).toBe('three\n');
    rmSync(join(path, 'config.json'));
    await expect(callsOf(again)).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
  });

  test('the accounts of a root file system', async () => {
    const own = busyboxRoot();
    onTestFinished(() => own.remove());
    const { callsOf, inOneGo, learn } = runtime();
    const again = await learn(shell('echo $HOME', { rootfs: own.path }));
    expect(await inOneGo(again)).toMatchObject({ stdout: '/root\n' });
    writeFileSync(join(own.path, 'etc/passwd'), 'root:x:0:0:root:/tmp:/bin/sh\n');
    expect((await callsOf(again)).result.stdout).toBe('/tmp\n');
    rmSync(join(own.path, 'etc/passwd'));
    expect((await callsOf(again)).result.stdout).toBe('/\n');
  });

  test('a root file system that has become a link to that of the host', async () => {
    const own = busyboxRoot();
    onTestFinished(() => own.remove());
    const path = join(own.path, 'tmp/root');
    mkdirSync(path);
    for (const name of ['bin', 'etc']) renameSync(join(own.path, name), join(path, name));
    const { callsOf, inOneGo, learn } = runtime();
    const again = await learn(shell('ls /', { rootfs: path }));
    await inOneGo(again);
    renameSync(path, `${path}-before`);
    symlinkSync('/', path);
    await expect(callsOf(again)).rejects.toMatchObject({ code: 'ERR_SPEC', origin: '/rootfs' });
  });

  test('a command that is gone', async () => {
    const own = busyboxRoot();
    onTestFinished(() => own.remove());
    const { callsOf, inOneGo, learn } = runtime();
    const again = await learn({ rootfs: own.path, userns, command: ['/bin/true'] } as Options);
    await inOneGo(again);
    rmSync(join(own.path, 'bin/true'));
    const before = look();
    await expect(callsOf(again)).rejects.toMatchObject({ code: 'ERR_EXEC', failure: { errno: 'ENOENT' } });
    await expectUnchanged(before);
  });

  test('and what is another one each time is not tried for ever', async () => {
    const { runtime: own, callsOf } = runtime();
    const { path, write } = bundle(['/bin/echo', '0']);
    for (let i = 0; i < 12; i++) {
      write(['/bin/echo', String(i)]);
      expect((await own.run({ bundle: path })).stdout).toBe(`${i}\n`);
    }
    const { calls } = await callsOf({ bundle: path });
    expect(calls.filter((call) => call.startsWith('processes.spawn'))).toHaveLength(1);
  });
});

describe('one that takes longer than the others', () => {
  /** Waits where there is a file, and is over at once where there is none. */
  const waiting = async () => {
    const own = busyboxRoot();
    onTestFinished(() => own.remove());
    const at = runtime();
    const again = await at.learn(
      shell('echo begun; while [ -e /tmp/wait ]; do sleep 0.02; done; echo over', { rootfs: own.path }),
    );
    const flag = join(own.path, 'tmp/wait');
    writeFileSync(flag, '');
    return { ...at, again, flag };
  };

  test('is a container among the others, and ends as they do', async () => {
    const { runtime: own, again, flag } = await waiting();
    const running = own.run(again);
    await expect.poll(async () => (await own.containers()).map(({ status }) => status)).toEqual(['running']);
    const id = (await own.containers())[0]!.id;
    const container = await own.container(id);
    expect((await container.exec(['hostname'])).stdout).toBe(`${id.slice(0, 12)}\n`);
    rmSync(flag);
    expect(await running).toMatchObject({ exitCode: 0, stdout: 'begun\nover\n' });
    expect(await own.containers()).toEqual([]);
  });

  test('is ended by a timeout, a signal, and the end of its runtime', async () => {
    const { runtime: own, again } = await waiting();
    const before = look();
    await expect(own.run({ ...again, timeout: 300 * patience })).resolves.toMatchObject({
      timedOut: true,
      stdout: 'begun\n',
    });
    const stop = new AbortController();
    const canceled = own.run({ ...again, signal: stop.signal });
    await expect.poll(async () => (await own.containers()).map(({ status }) => status)).toEqual(['running']);
    stop.abort();
    await expect(canceled).resolves.toMatchObject({ canceled: true });
    await expectUnchanged(before);
    const running = own.run(again);
    await expect.poll(async () => (await own.containers()).length).toBe(1);
    await own[Symbol.asyncDispose]();
    await running.catch(() => {});
    // With the runtime goes the zygote of an ordinary user, and by which root leaves the mounts of the host.
    const descriptors = before.descriptors.filter((descriptor) => !descriptor.startsWith('mnt:'));
    if (isRoot) await expectUnchanged({ ...before, descriptors });
  });

  test('is canceled while its init is being made', async () => {
    const { runtime: own, again } = await waiting();
    const before = look();
    for (const ms of [0, 1, 2, 5, 9, 10, 11, 12, 13]) {
      const stop = new AbortController();
      const work = own.run({ ...again, signal: stop.signal }).catch((error: unknown) => error);
      await sleep(ms);
      stop.abort();
      expect(await work).toSatisfy(
        (end: { code?: string; canceled?: boolean }) => end.code === 'ERR_CANCELED' || end.canceled === true,
      );
    }
    await expectUnchanged(before);
  });

  test('may write more than a pipe holds', async () => {
    const own = busyboxRoot();
    onTestFinished(() => own.remove());
    const size = join(own.path, 'tmp/size');
    writeFileSync(size, '10');
    const { callsOf, learn } = runtime();
    const again = await learn(shell('head -c $(cat /tmp/size) /dev/zero | tr "\\0" x', { rootfs: own.path }));
    writeFileSync(size, '1000000');
    expect((await callsOf(again)).result.stdout).toBe('x'.repeat(1_000_000));
  });
});

test('a hundred of them, eight at once, leave nothing', async () => {
  const { runtime: own, learn } = runtime();
  const again = await learn(shell('hostname'));
  const before = look();
  const seen = new Set<string>();
  let left = 100;
  const worker = async () => {
    while (left-- > 0) seen.add((await own.run(again)).stdout);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(seen.size).toBe(100);
  await expectUnchanged(before);
});
