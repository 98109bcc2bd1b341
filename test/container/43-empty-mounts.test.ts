// Containers of root that leave the mounts of the host before they mount anything: all but the first of a runtime.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { type ContainerOptions, createRuntime, type RunOptions } from '../../lib/index.ts';
import { createHost } from '../../lib/node/host.ts';
import { Runtime } from '../../lib/runtime.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { can, testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

const test = testIf('root', 'busybox');
const skipped = testIf('ordinary user', 'userns', 'busybox');

let rootfs: TemporaryDirectory;
beforeAll(() => {
  rootfs = can('busybox') === true ? busyboxRoot() : temporaryDirectory();
});
afterAll(() => rootfs.remove());

const shell = (script: string): ContainerOptions & RunOptions => ({
  rootfs: rootfs.path,
  command: ['sh', '-c', script],
  reject: false,
});

/** Mount namespaces that we have open. */
const open = (): string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${fd}`);
      return link.startsWith('mnt:') ? [link] : [];
    } catch {
      return [];
    }
  });

/** A runtime that has made its first container, with the ids of the host. */
async function runtime() {
  const made = createRuntime();
  onTestFinished(() => made[Symbol.asyncDispose]());
  const run = (script: string, options: Partial<ContainerOptions> = {}) =>
    made.run({ ...shell(script), userns: 'host', ...options } as ContainerOptions & RunOptions);
  const first = await run('cat /proc/self/mountinfo');
  return { made, run, first };
}

/** What a container sees of its mounts, without numbers: mount ids, and the devices of file systems. */
const mounts = (mountinfo: string) =>
  mountinfo
    .trim()
    .split('\n')
    .map((line) => line.replace(/^\d+ \d+ \d+:\d+ /, ''))
    .sort();

test('a later container has the mounts of the first, and a namespace that is open here only until the runtime ends', async () => {
  // What all runtimes of this process have in common.
  await (await runtime()).made[Symbol.asyncDispose]();
  const before = look();
  const { made, run, first } = await runtime();
  expect(open()).toEqual([]);
  const second = await run('cat /proc/self/mountinfo');
  expect(mounts(second.stdout)).toEqual(mounts(first.stdout));
  expect(open()).toHaveLength(1);
  for (let i = 0; i < 3; i++)
    expect(mounts((await run('cat /proc/self/mountinfo')).stdout)).toEqual(mounts(first.stdout));
  expect(open()).toHaveLength(1);
  // Neither the host's nor the empty one, and nobody in it has that in its hands.
  const whose = await run('readlink /proc/self/ns/mnt; readlink /proc/[0-9]*/fd/*');
  expect([...open(), readlinkSync('/proc/self/ns/mnt')]).not.toContain(whose.stdout.split('\n')[0]);
  expect(whose.stdout.split('\n').slice(1).join()).not.toContain('mnt:');
  await made[Symbol.asyncDispose]();
  expect(open()).toEqual([]);
  await expectUnchanged(before);
});

test('mounts of the host that are made, or taken away, while it runs are neither seen nor missed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'runts-empty-'));
  const mount = (...args: string[]) => execFileSync('mount', args);
  // What systemd makes of a host: events go to whoever has a clone.
  mount('-t', 'tmpfs', 'none', directory);
  onTestFinished(() => {
    execFileSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true });
  });
  mount('--make-rshared', directory);
  for (const name of ['early', 'late']) mkdirSync(join(directory, name));
  mount('-t', 'tmpfs', 'none', join(directory, 'early'));
  writeFileSync(join(directory, 'early/file'), 'early');
  const { made } = await runtime();
  const container = await made.createContainer({
    rootfs: rootfs.path,
    userns: 'host',
    capabilities: { add: ['CAP_SYS_ADMIN'] },
    mounts: [{ type: 'bind', source: directory, target: '/data' }],
    command: ['sleep', '1000'],
  });
  await container.start();
  const said = async (script: string) => (await container.exec(['sh', '-c', script])).stdout;
  expect(await said('cat /data/early/file')).toBe('early');
  mount('-t', 'tmpfs', 'none', join(directory, 'late'));
  writeFileSync(join(directory, 'late/file'), 'late');
  expect(await said('ls /data/late')).toBe('');
  execFileSync('umount', [join(directory, 'early')]);
  expect(await said('cat /data/early/file')).toBe('early');
  // Nor does one of its own get out: over a device, or in what it has of the host.
  const null0 = readFileSync('/proc/self/mountinfo', 'utf8');
  await said(
    'mount -t tmpfs inner /data/early; mount -t tmpfs inner /tmp; mount -o bind /dev/zero /dev/null; umount /dev/full',
  );
  expect(await said('cut -d" " -f5 /proc/self/mountinfo')).toContain('\n/tmp\n');
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).toBe(null0);
  execFileSync('umount', [join(directory, 'late')]);
  await container.remove({ force: true });
});

test('what it cannot have of the host is told as ever', async () => {
  const { run } = await runtime();
  await run('true');
  await expect(
    run('true', { mounts: [{ type: 'bind', source: '/nowhere/at-all', target: '/data' }] }),
  ).rejects.toMatchObject({ message: expect.stringContaining('/nowhere/at-all') });
  expect((await run('echo again')).stdout).toBe('again\n');
});

test('one that is started again leaves them again, and what is executed in it is where it is', async () => {
  const { made, run } = await runtime();
  const { stdout: usual } = await run('cat /proc/self/mountinfo');
  const container = await made.createContainer({
    rootfs: rootfs.path,
    userns: 'host',
    restart: { policy: 'on-failure', retries: 2 },
    command: ['sh', '-c', 'cat /proc/self/mountinfo; echo; sleep 0.3; exit 3'],
  });
  const written: Buffer[] = [];
  container.stdout?.on('data', (chunk: Buffer) => written.push(chunk));
  const read = new Promise((resolve) => container.stdout?.once('end', resolve));
  await container.start();
  const inside = await container.exec(['cat', '/proc/self/mountinfo']);
  expect(mounts(inside.stdout)).toEqual(mounts(usual));
  expect((await container.wait()).exitCode).toBe(3);
  await read;
  const runs = Buffer.concat(written).toString().split('\n\n').slice(0, -1);
  expect(runs.map(mounts)).toEqual([mounts(usual), mounts(usual), mounts(usual)]);
  await container.remove();
});

test('where no empty namespace can be made, containers go with copies', async () => {
  const real = createHost();
  let refused = 0;
  const host = {
    ...real,
    processes: {
      ...real.processes,
      spawn: (request: Parameters<typeof real.processes.spawn>[0]) => {
        // A mount namespace alone: nothing else asks for that.
        if (request.flags !== 0x00020000) return real.processes.spawn(request);
        refused++;
        return Promise.reject(Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }));
      },
    },
  };
  const made = new Runtime(host);
  onTestFinished(() => made[Symbol.asyncDispose]());
  for (let i = 0; i < 4; i++) {
    const { stdout } = await made.run({ ...shell('echo ran'), userns: 'host' } as ContainerOptions & RunOptions);
    expect(stdout).toBe('ran\n');
  }
  expect(refused).toBe(1);
  expect(open()).toEqual([]);
});

skipped('an ordinary user has none', async () => {
  const made = createRuntime();
  onTestFinished(() => made[Symbol.asyncDispose]());
  for (let i = 0; i < 3; i++) expect((await made.run(shell('echo ran'))).stdout).toBe('ran\n');
  expect(open()).toEqual([]);
});
