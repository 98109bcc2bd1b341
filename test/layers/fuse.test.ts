import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import type { Host } from '../../lib/host/host.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { createRuntime, type Runtime, type RuntimeOptions } from '../../lib/index.ts';
import { chooseDriver } from '../../lib/layers/drivers.ts';
import { createHost } from '../../lib/node/host.ts';
import { containerMaps } from '../../lib/plan/keeper.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { Fixture } from '../lifetime/fixture.ts';
import { dockerFiles, packFiles, tar } from '../support/archives.ts';
import { descendants, isAlive, until } from '../support/look.ts';
import { removeData } from '../support/remove-data.ts';
import { patience, patienceMs, testIf } from '../support/requires.ts';

const test = testIf('userns');
const testFuse = testIf('userns', 'busybox', 'fuse');

let directory: string;
let data: string;
let image: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  chmodSync(directory, 0o755);
  data = join(directory, 'runts');
  mkdirSync(data, { mode: 0o700 });
  image = join(directory, 'image.tar');
  const commands = ['sh', 'cat', 'rm', 'ls', 'stat', 'chown', 'mv', 'seq'];
  const layers = [
    tar(
      ...[{ name: 'bin/' }, { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 }],
      ...commands.map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
      ...['proc/', 'sys/', 'dev/', 'etc/', 'tmp/', 'opaque/', 'opaque/deep/'].map((name) => ({ name })),
      { name: 'opaque/lower', content: 'lower' },
      { name: 'etc/gone', content: 'gone' },
      { name: 'etc/kept', content: 'kept' },
    ),
    tar({ name: 'etc/.wh.gone', content: '' }, { name: 'opaque/.wh..wh..opq', content: '' }, { name: 'opaque/upper' }),
  ];
  writeFileSync(image, packFiles(dockerFiles({ layers })));
});
afterAll(async () => {
  await removeData(data);
  rmSync(directory, { recursive: true, force: true });
});

function runtimeWith(options: RuntimeOptions = {}): Runtime {
  const runtime = createRuntime({ root: data, state: join(directory, 'state'), ...options });
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  return runtime;
}

const served = { driver: 'fuse-overlayfs' } as const;

/** Programs that serve files, below a process. */
const servers = (pid: number): number[] =>
  descendants(pid).filter((each) => {
    try {
      return readFileSync(`/proc/${each}/comm`, 'utf8').trim() === 'fuse-overlayfs';
    } catch {
      return false;
    }
  });

testFuse('a root file system that is served shows the layers as one, and takes changes', async () => {
  const script = `
    cat /proc/mounts; ls /etc /opaque; echo more >> /etc/kept; cat /etc/kept; rm /etc/kept; ls /etc
    rm -r /opaque; mv /tmp /moved; ls /; stat -c %u:%g /bin/busybox`;
  const { stdout } = await runtimeWith(served).run({ image, command: ['/bin/sh', '-c', script] });
  const [root, ...rest] = stdout.split('\n').filter((line) => !/^\S+ \/\S+ /.test(line));
  expect(root).toMatch(/^fuse-overlayfs \/ fuse\S* .*nodev/);
  expect(rest.join(' ')).toBe('/etc: kept  /opaque: upper keptmore bin dev etc moved proc sys 0:0 ');
});

testFuse('the program that serves is out of the sight of the container, and goes when that does', async () => {
  const runtime = runtimeWith(served);
  const container = await runtime.createContainer({ image, command: ['/bin/busybox', 'sleep', '600'] });
  await container.start();
  const [server, ...others] = servers(process.pid) as [number];
  expect(others).toEqual([]);
  const { stdout } = await container.exec(['/bin/busybox', 'ps']);
  expect(stdout).toContain('sleep');
  expect(stdout).not.toContain('fuse');
  await container.remove({ force: true });
  expect(await until(() => !isAlive(server), patienceMs)).toBe(true);
  expect(readdirSync(join(data, 'containers'))).toEqual([]);
});

const slow = { timeout: 90_000 * patience };
testFuse('the program that serves goes when Node is killed, with the container and what is on disk', slow, async () => {
  const own = join(directory, 'killed');
  mkdirSync(own, { mode: 0o700 });
  onTestFinished(() => removeData(own));
  const node = new Fixture('served', [own, image]);
  const [first] = await node.says<[number]>();
  const pids = descendants(node.process.pid);
  expect(servers(node.process.pid as number)).toHaveLength(1);
  expect(pids).toContain(first);
  node.process.kill('SIGKILL');
  expect(await until(() => !pids.some(isAlive), patienceMs)).toBe(true);
  expect(await until(() => readdirSync(join(own, 'containers')).length === 0, patienceMs)).toBe(true);
  await node.ended;
});

testFuse('a server that is killed takes nobody with it but what needs the files', async () => {
  const runtime = runtimeWith(served);
  const container = await runtime.createContainer({ image, command: ['/bin/busybox', 'sleep', '600'] });
  await container.start();
  for (const pid of servers(process.pid)) process.kill(pid, 'SIGKILL');
  expect(await until(() => !servers(process.pid).some(isAlive), patienceMs)).toBe(true);
  // Unless the command has ended of it already, or meanwhile: then the kernel ends what is in its PID namespace.
  await expect(container.exec(['/bin/busybox', 'true'])).rejects.toThrow(
    /ENOTCONN|not connected|ECONNABORTED|has ended|is stopped|was ended by SIGKILL/,
  );
  await container.remove({ force: true });
  expect(readdirSync(join(data, 'containers'))).toEqual([]);
});

testFuse('a container that would see the program is refused', async () => {
  const seeing = {
    image,
    command: ['/bin/cat', '/etc/kept'],
    spec: (spec: Spec): Spec => {
      const namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'pid');
      return { ...spec, linux: { ...spec.linux, namespaces } };
    },
  };
  await expect(runtimeWith(served).run(seeing)).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    hint: expect.stringContaining('"copy"'),
  });
  expect(servers(process.pid)).toEqual([]);
});

/** The same world, with other programs. */
const hostWith = (programs: Host['environment']['programs']): Host => {
  const real = createHost();
  return { ...real, environment: { ...real.environment, dataDirectory: data, programs } };
};

test('without the program it is refused where it was asked for, with what to do', async () => {
  const host = hostWith({});
  const facts = await probeFacts(createHost());
  const request = { host, facts, data, maps: containerMaps(undefined, facts), asked: 'fuse-overlayfs' } as const;
  await expect(chooseDriver(request)).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: 'cannot mount layers as one with the driver fuse-overlayfs: there is no program fuse-overlayfs',
    hint: expect.stringContaining('/dev/fuse'),
  });
});

testIf(
  'root',
  'userns',
  'fuse',
)('where the kernel makes no union mount, the program does, and without it the image is copied', async () => {
  const own = join(directory, 'overlaid');
  for (const name of ['', '/lower', '/upper', '/work', '/data']) mkdirSync(`${own}${name}`);
  // What is an overlay itself cannot be the upper layer of another one.
  const options = `lowerdir=${own}/lower,upperdir=${own}/upper,workdir=${own}/work`;
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, `${own}/data`]);
  onTestFinished(() => void execFileSync('umount', [`${own}/data`]));
  mkdirSync(`${own}/data/layers`);
  const real = createHost();
  const facts = await probeFacts(real);
  const request = { host: real, facts, data: `${own}/data`, maps: undefined };
  expect(await chooseDriver(request)).toBe('fuse-overlayfs');
  expect(await chooseDriver(request)).toBe('fuse-overlayfs');
  expect(await chooseDriver({ ...request, servable: false })).toBe('copy');
  expect(await chooseDriver({ ...request, host: hostWith({}) })).toBe('copy');
  await expect(chooseDriver({ ...request, asked: 'overlay' })).rejects.toMatchObject({
    message: expect.stringMatching(/^cannot mount layers as one with the driver overlay: E/),
  });
  expect(readdirSync(`${own}/data/layers`)).toEqual(['driver.json']);
});
