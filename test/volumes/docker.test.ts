import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished } from 'vitest';
import { type ServedCall, serveVolumeDriver } from '../../lib/index.ts';
import { tar } from '../support/archives.ts';
import { patience, patienceMs, testIf } from '../support/requires.ts';
import { directories } from './plugin.ts';

const test = testIf('root', 'dockerd', 'busybox');
const run = promisify(execFile);

/** A daemon of Docker's in mount and network namespaces of its own, with everything below a directory. */
async function startDocker() {
  const directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  const socket = join(directory, 'docker.sock');
  const plugins = join(directory, 'plugins');
  mkdirSync(plugins);
  const script = `
    umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup
    mount -t tmpfs none /run && mkdir -p /run/docker/plugins && mount --bind "$1/plugins" /run/docker/plugins
    exec dockerd --data-root "$1/root" --exec-root /run/exec --pidfile /run/docker.pid -H "unix://$1/docker.sock" \\
      --bridge=none --iptables=false --ip6tables=false --storage-driver=vfs`;
  const namespaces = ['-m', '-n', '--propagation', 'private', 'sh', '-c', script, 'sh', directory];
  const daemon = spawn('unshare', namespaces, { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  for (const stream of [daemon.stdout, daemon.stderr]) stream.on('data', (text) => (log += text));
  onTestFinished(async () => {
    const ended = once(daemon, 'exit');
    if (daemon.exitCode === null && daemon.kill('SIGTERM')) await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  const environment = { ...process.env, DOCKER_HOST: `unix://${socket}` };
  const docker = async (...args: string[]) => (await run('docker', args, { env: environment })).stdout.trim();
  await expect
    .poll(
      () =>
        docker('version').then(
          () => true,
          () => log,
        ),
      { timeout: patienceMs, interval: 200 },
    )
    .toBe(true);
  return { directory, plugins, docker };
}

test('Docker’s own daemon uses a driver that is served here: what they said to each other', {
  timeout: 120_000 * patience,
}, async () => {
  const { directory, plugins, docker } = await startDocker();
  const told: string[] = [];
  const calls: ServedCall[] = [];
  const place = join(directory, 'volumes');
  const serving = { socket: join(plugins, 'dirs.sock'), onCall: (call: ServedCall) => void calls.push(call) };
  await using _served = await serveVolumeDriver(directories(place, told), serving);
  const archive = join(directory, 'image.tar');
  writeFileSync(
    archive,
    tar({ name: 'busybox', content: readFileSync('/bin/busybox'), mode: 0o755 }, { name: 'data/', mode: 0o755 }),
  );
  await docker('import', archive, 'box');
  const container = (script: string, ...more: string[]) =>
    docker('run', '--network=none', '-v', 'far:/data', ...more, 'box', '/busybox', 'sh', '-c', script);

  expect(await docker('volume', 'create', '-d', 'dirs', '-o', 'size=1', 'far')).toBe('far');
  expect(await container('echo written > /data/file; /busybox cat /data/file', '--rm')).toBe('written');
  expect(readFileSync(join(place, 'far/file'), 'utf8')).toBe('written\n');
  // Docker mounts a volume to fill it from the image, and again to start. Two containers at once: the driver hears of the
  // first one's mount, and of the last one's unmount.
  const count = (what: string): number => told.filter((each) => each === `${what} far`).length;
  const before = count('mount');
  const first = await container('/busybox sleep 1000', '-d');
  const second = await container('/busybox sleep 1000', '-d');
  expect([count('mount'), count('unmount')]).toEqual([before + 2, before + 1]);
  await docker('rm', '-f', first);
  expect(count('unmount')).toBe(before + 1);
  await docker('rm', '-f', second);
  const [inspected] = JSON.parse(await docker('volume', 'inspect', 'far'));
  expect(inspected).toMatchObject({
    Name: 'far',
    Driver: 'dirs',
    Scope: 'global',
    Options: { size: '1' },
    Status: { kept: 'here' },
  });
  expect(await docker('volume', 'ls', '-q')).toContain('far');
  expect(await docker('volume', 'rm', 'far')).toBe('far');
  await expect(docker('volume', 'create', '-d', 'dirs', '-o', 'fail=not today', 'bad')).rejects.toThrow('not today');

  const mounts = (times: number): string[] => Array.from({ length: times }, () => ['mount far', 'unmount far']).flat();
  expect(told).toEqual(['create far', ...mounts(before + 2), 'remove far', 'create bad']);
  if (process.env['RUNTS_RECORD'] !== undefined)
    writeFileSync(process.env['RUNTS_RECORD'], calls.map((call) => `${JSON.stringify(call)}\n`).join(''));
  const methods = calls.map(({ method }) => method.replace('VolumeDriver.', ''));
  expect(methods[0]).toBe('Plugin.Activate');
  expect(new Set(methods)).toEqual(
    new Set(['Plugin.Activate', 'Capabilities', 'Get', 'Create', 'Mount', 'Unmount', 'List', 'Remove']),
  );
  const ids = (method: string) =>
    calls.filter((call) => call.method === method).map(({ request }) => (request as { ID: string }).ID);
  expect(ids('VolumeDriver.Unmount').toSorted()).toEqual(ids('VolumeDriver.Mount').toSorted());
  expect(ids('VolumeDriver.Mount').every((id) => /^[0-9a-f]{64}$/.test(id))).toBe(true);
  expect(existsSync(place)).toBe(true);
  chmodSync(place, 0o700);
});
