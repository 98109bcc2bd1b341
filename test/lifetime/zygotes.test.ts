import { existsSync, readFileSync } from 'node:fs';
import { afterEach, expect } from 'vitest';
import type { Host, Session } from '../../lib/host/host.ts';
import { createHost } from '../../lib/node/host.ts';
import { Runtime } from '../../lib/runtime.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { descendants } from '../support/look.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { Fixture } from './fixture.ts';

/** What was asked of this host: how often newuidmap ran, and the zygotes that cloned. */
interface Watched {
  readonly runtime: Runtime;
  readonly host: Host;
  /** How often a zygote was asked; `by` has those that answered. */
  asked: number;
  maps: number;
  readonly by: Session[];
  readonly sessions: Session[];
}

const runtimes: Runtime[] = [];
afterEach(async () => {
  for (const runtime of runtimes.splice(0)) await runtime[Symbol.asyncDispose]();
});

function watched(change: (host: Host) => Host = (host) => host): Watched {
  const given = change(createHost());
  const { processes } = given;
  const seen = { maps: 0, asked: 0, by: [] as Session[], sessions: [] as Session[] };
  const host: Host = {
    ...given,
    processes: {
      ...processes,
      async spawnBy(zygote, request) {
        seen.asked++;
        const session = await processes.spawnBy(zygote, request);
        seen.by.push(zygote);
        seen.sessions.push(session);
        return session;
      },
      run(file, ...rest) {
        if (file.endsWith('newuidmap')) seen.maps++;
        return processes.run(file, ...rest);
      },
    },
  };
  const runtime = new Runtime(host);
  runtimes.push(runtime);
  return Object.assign(seen, { runtime, host });
}

const options = { host: true, command: ['sleep', '1000'] } as const;
const started = async ({ runtime }: Watched) => (await runtime.createContainer(options)).start();
const isGone = (pid: number) =>
  !existsSync(`/proc/${pid}`) || /^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));

testIf('ordinary user', 'subuids')('from the third container on newuidmap is needed no more', async () => {
  const seen = watched();
  await seen.runtime.run({ host: true, command: ['true'] });
  expect([seen.maps, seen.by.length]).toEqual([1, 0]);
  await seen.runtime.run({ host: true, command: ['true'] });
  expect([seen.maps, seen.by.length]).toEqual([2, 1]);
  const { stdout } = await seen.runtime.run({ host: true, command: ['cat', '/proc/self/uid_map'] });
  expect([seen.maps, seen.by.length]).toEqual([2, 2]);
  expect(stdout.trim().split('\n').length).toBeGreaterThan(1);
});

testIf('ordinary user', 'subuids')('containers made at once come from one zygote', async () => {
  const seen = watched();
  await seen.runtime.run({ host: true, command: ['true'] });
  const many = Array.from({ length: 6 }, (_, i) => seen.runtime.run({ host: true, command: ['echo', `${i}`] }));
  expect((await Promise.all(many)).map(({ stdout }) => stdout.trim())).toEqual(['0', '1', '2', '3', '4', '5']);
  expect(new Set(seen.by).size).toBe(1);
  expect(seen.by).toHaveLength(6);
});

testIf('ordinary user', 'subuids')('containers outlive their zygote, which is replaced', async () => {
  const seen = watched();
  await started(seen);
  const container = await started(seen);
  const [zygote] = seen.by;
  process.kill(zygote!.pid, 'SIGKILL');
  expect((await container.exec(['echo', 'here'])).stdout).toBe('here\n');
  expect((await (await started(seen)).exec(['echo', 'here'])).stdout).toBe('here\n');
  await started(seen);
  const last = seen.by.at(-1)!;
  expect(last).not.toBe(zygote);
  expect(container.status).toBe('running');
});

testIf('ordinary user', 'subuids')(
  'a zygote that does not answer is killed, and the container is made without it',
  async () => {
    // Time passes ten times as fast for who waits.
    const seen = watched((host) => ({
      ...host,
      clock: { ...host.clock, after: (ms) => host.clock.after(ms / 10) },
    }));
    await started(seen);
    await started(seen);
    const [zygote] = seen.by;
    process.kill(zygote!.pid, 'SIGSTOP');
    const container = await started(seen);
    expect(container.status).toBe('running');
    await expect.poll(() => isGone(zygote!.pid), { timeout: patienceMs }).toBe(true);
  },
);

testIf('ordinary user', 'subuids')('a zygote ends with its runtime', async () => {
  const seen = watched();
  await started(seen);
  await started(seen);
  const [zygote] = seen.by;
  expect(isGone(zygote!.pid)).toBe(false);
  await seen.runtime[Symbol.asyncDispose]();
  expect(isGone(zygote!.pid)).toBe(true);
});

testIf('ordinary user', 'subuids')('a zygote ends with a program that is killed', async () => {
  const fixture = new Fixture('zygote', ['stay']);
  const [pid] = await fixture.says<number[]>();
  expect(isGone(pid!)).toBe(false);
  fixture.process.kill('SIGKILL');
  await expect.poll(() => isGone(pid!), { timeout: patienceMs }).toBe(true);
});

testIf('ordinary user', 'subuids')('a zygote keeps no program from its end', async () => {
  const fixture = new Fixture('zygote');
  const [pid] = await fixture.says<number[]>();
  expect(await fixture.ends()).toEqual({ code: 0, signal: null });
  await expect.poll(() => isGone(pid!), { timeout: patienceMs }).toBe(true);
});

testIf('ordinary user', 'subuids')(
  'runtimes of a program share a zygote, which ends with the last of them',
  async () => {
    const seen = watched();
    const other = new Runtime(seen.host);
    runtimes.push(other);
    for (let i = 0; i < 2; i++) await seen.runtime.run({ host: true, command: ['true'] });
    const zygote = seen.by[0]!;
    await other.run({ host: true, command: ['true'] });
    expect([seen.maps, new Set(seen.by).size]).toEqual([2, 1]);
    await seen.runtime[Symbol.asyncDispose]();
    expect(isGone(zygote.pid)).toBe(false);
    await other.run({ host: true, command: ['true'] });
    expect([seen.maps, new Set(seen.by).size]).toEqual([2, 1]);
    await other[Symbol.asyncDispose]();
    expect(isGone(zygote.pid)).toBe(true);
  },
);

testIf('ordinary user', 'subuids')(
  'a container that is canceled before its zygote answers leaves nothing of it',
  async () => {
    const seen = watched();
    for (let i = 0; i < 2; i++) await seen.runtime.run({ host: true, command: ['true'] });
    const zygote = seen.by[0]!;
    const before = descendants();
    process.kill(zygote.pid, 'SIGSTOP');
    const canceler = new AbortController();
    const making = seen.runtime.createContainer({ ...options, signal: canceler.signal });
    await expect.poll(() => seen.asked, { timeout: patienceMs }).toBe(2);
    canceler.abort();
    await expect(making).rejects.toMatchObject({ code: 'ERR_CANCELED' });
    process.kill(zygote.pid, 'SIGCONT');
    await expect.poll(() => seen.by.length, { timeout: patienceMs }).toBe(2);
    await expect.poll(() => descendants(), { timeout: patienceMs }).toEqual(before);
    // The same one answers whoever asks next.
    await seen.runtime.run({ host: true, command: ['true'] });
    expect(new Set(seen.by)).toEqual(new Set([zygote]));
  },
);

testIf('ordinary user', 'subuids')('what a zygote was asked for when it is killed is made without it', async () => {
  const seen = watched();
  for (let i = 0; i < 2; i++) await seen.runtime.run({ host: true, command: ['true'] });
  const zygote = seen.by[0]!;
  const before = descendants().filter((pid) => pid !== zygote.pid);
  process.kill(zygote.pid, 'SIGSTOP');
  const making = Array.from({ length: 6 }, (_, i) => seen.runtime.run({ host: true, command: ['echo', `${i}`] }));
  await expect.poll(() => seen.asked, { timeout: patienceMs }).toBe(7);
  process.kill(zygote.pid, 'SIGKILL');
  expect((await Promise.all(making)).map(({ stdout }) => stdout.trim())).toEqual(['0', '1', '2', '3', '4', '5']);
  await expect.poll(() => descendants(), { timeout: patienceMs }).toEqual(before);
});

testIf('ordinary user', 'subuids')('a zygote that is killed while nobody asks is collected', async () => {
  const seen = watched();
  for (let i = 0; i < 2; i++) await seen.runtime.run({ host: true, command: ['true'] });
  const zygote = seen.by[0]!;
  process.kill(zygote.pid, 'SIGKILL');
  await expect.poll(() => descendants(), { timeout: patienceMs }).not.toContain(zygote.pid);
  await seen.runtime.run({ host: true, command: ['true'] });
  expect(seen.maps).toBe(3);
});

testIf('ordinary user', 'subuids')('where no zygote can be started, containers are made without one', async () => {
  // A zygote is the init that has a user namespace and nothing else.
  const seen = watched((host) => ({
    ...host,
    processes: {
      ...host.processes,
      spawn: (request) =>
        request.flags === namespaceFlags.user
          ? Promise.reject(Object.assign(new Error('EAGAIN'), { code: 'EAGAIN' }))
          : host.processes.spawn(request),
    },
  }));
  for (let i = 0; i < 3; i++) await seen.runtime.run({ host: true, command: ['true'] });
  expect([seen.maps, seen.asked]).toEqual([3, 0]);
});
