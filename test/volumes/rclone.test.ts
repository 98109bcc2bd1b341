import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished } from 'vitest';
import { patienceMs, testIf } from '../support/requires.ts';
import { imageWith, temporaryRuntime } from './containers.ts';

const test = testIf('root', 'rclone', 'busybox');

/** Somebody else's plugin: rclone, whose volumes are file systems in user space over what it calls remotes. */
async function startRclone(directory: string, socket: string): Promise<void> {
  mkdirSync(join(directory, 'base'));
  writeFileSync(join(directory, 'rclone.conf'), '');
  const places = ['--config', 'rclone.conf', '--cache-dir', 'cache', '--base-dir', join(directory, 'base')];
  const options = ['serve', 'docker', ...places, '--no-spec', '--socket-addr', socket, '-v'];
  const plugin = spawn('rclone', options, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(async () => {
    const ended = once(plugin, 'exit');
    if (plugin.exitCode === null && plugin.kill('SIGTERM')) await ended;
  });
}

/** Stands between us and a plugin, and notes what they say. */
function recordBetween(front: string, back: string): Promise<string[]> {
  const said: string[] = [];
  const server = createServer((asked, response) => {
    void text(asked).then((body) => {
      const { url: path, method, headers } = asked;
      const passed = request({ socketPath: back, path, method, headers }, (answered) => {
        void text(answered).then((answer) => {
          said.push(`${path} ${body} -> ${answered.statusCode} ${answer.trim()}`);
          response.writeHead(answered.statusCode ?? 500).end(answer);
        });
      });
      passed.once('error', () => response.destroy());
      passed.end(body);
    });
  });
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return new Promise((resolve) => server.listen(front, () => resolve(said)));
}

test('a plugin of somebody else makes, mounts and removes volumes of containers', { timeout: 60_000 }, async () => {
  const { directory } = await temporaryRuntime();
  const plugins = join(directory, 'plugins');
  const remote = join(directory, 'remote');
  for (const path of [plugins, remote]) mkdirSync(path);
  const said = await recordBetween(join(plugins, 'rclone.sock'), join(directory, 'own.sock'));
  await startRclone(directory, join(directory, 'own.sock'));
  const runtime = await temporaryRuntime({ volumes: { plugins: [plugins] } });
  await imageWith(runtime, []);
  chmodSync(remote, 0o777);
  const options = {
    type: 'local',
    path: remote,
    'allow-other': 'true',
    'vfs-cache-mode': 'writes',
    'vfs-write-back': '0s',
  };
  await expect
    .poll(() => runtime.volumes.create({ name: 'far', driver: 'rclone', options }).then(({ name }) => name, String), {
      timeout: patienceMs,
    })
    .toBe('far');
  const mounts = [{ type: 'volume', source: 'far', target: '/data' }] as const;
  const command = ['sh', '-c', 'echo hello > /data/file; cat /data/file'];
  expect((await runtime.run({ image: 'app', command, mounts, userns: 'host' })).stdout).toBe('hello\n');
  await expect.poll(() => readdirSync(remote), { timeout: patienceMs }).toEqual(['file']);
  expect(readFileSync(join(remote, 'file'), 'utf8')).toBe('hello\n');
  // In a user namespace: the file system has no other owners to show, and lets everybody read.
  expect((await runtime.run({ image: 'app', command: ['cat', '/data/file'], mounts })).stdout).toBe('hello\n');
  expect(await runtime.volumes.get('far')).toMatchObject({ driver: 'rclone', scope: 'local', status: { Mounts: [] } });
  expect((await runtime.volumes.list({ driver: 'rclone' })).map(({ name }) => name)).toEqual(['far']);
  await expect(
    runtime.volumes.create({ name: 'bad', driver: 'rclone', options: { remote: 'none:' } }),
  ).rejects.toMatchObject({ code: 'ERR_DRIVER' });
  await runtime.volumes.remove('far');
  if (process.env['RUNTS_RECORD'] !== undefined) writeFileSync(process.env['RUNTS_RECORD'], `${said.join('\n')}\n`);
  const times = (method: string): number => said.filter((line) => line.startsWith(`/VolumeDriver.${method} `)).length;
  expect([times('Mount'), times('Unmount'), times('Remove')]).toEqual([2, 2, 1]);
});
