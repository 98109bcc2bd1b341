import { existsSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished, test } from 'vitest';
import { PluginDriver } from '../../lib/volumes/plugins/driver.ts';
import { serveVolumeDriver } from '../../lib/volumes/plugins/server.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { directories } from './plugin.ts';

async function served() {
  const directory = await temporaryDirectory();
  const told: string[] = [];
  const socket = join(directory, 'plugins/dirs.sock');
  const server = await serveVolumeDriver(directories(join(directory, 'volumes'), told), { socket });
  onTestFinished(() => server.close());
  return { directory, told, socket, server };
}

async function post(
  socketPath: string,
  path: string,
  body: string,
): Promise<{ status: number | undefined; answer: unknown }> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method: 'POST' }, (answer) => {
      text(answer).then((answered) => resolve({ status: answer.statusCode, answer: JSON.parse(answered) }), reject);
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

test('a driver that is served is a plugin like another', async () => {
  const { directory, told, socket } = await served();
  const driver = await PluginDriver.open('dirs', { kind: 'unix', path: socket });
  expect(driver.scope).toBe('global');
  await driver.create({ name: 'v', options: {} });
  expect(await driver.get('v')).toMatchObject({ name: 'v', status: { kept: 'here' }, created: expect.any(String) });
  expect(await driver.get('none')).toBeUndefined();
  expect((await driver.list()).map(({ name }) => name)).toEqual(['v']);
  await expect(driver.create({ name: 'w', options: { fail: 'not today' } })).rejects.toThrow('not today');
  const mountpoint = join(directory, 'volumes/v');
  expect(await driver.path('v')).toBeUndefined();
  expect(await driver.mount({ name: 'v', options: {}, id: 'one' })).toBe(mountpoint);
  expect(await driver.path('v')).toBe(mountpoint);
  await driver.unmount({ name: 'v', options: {}, id: 'one' });
  await driver.remove({ name: 'v', options: {} });
  expect(told).toEqual(['create v', 'create w', 'mount v', 'unmount v', 'remove v']);
});

test('the driver hears of the first mount and of the last unmount; an id counts once', async () => {
  const { told, socket } = await served();
  const driver = await PluginDriver.open('dirs', { kind: 'unix', path: socket });
  const volume = { name: 'v', options: {} };
  await driver.create(volume);
  const ids = ['a', 'b', 'c'];
  await Promise.all([...ids, ...ids].map((id) => driver.mount({ ...volume, id })));
  await expect(driver.remove(volume)).rejects.toThrow('mounted 3 times');
  for (const id of ['a', 'a', 'b', 'unknown']) await driver.unmount({ ...volume, id });
  expect(told).toEqual(['create v', 'mount v']);
  await driver.unmount({ ...volume, id: 'c' });
  await driver.unmount({ ...volume, id: 'c' });
  expect(told).toEqual(['create v', 'mount v', 'unmount v']);
});

test('what is no request is refused, and the next one is answered', async () => {
  const { socket } = await served();
  const cases = [
    ['/VolumeDriver.Create', '{', 400],
    ['/VolumeDriver.Create', '{}', 400],
    ['/VolumeDriver.Create', '{"Name":"x","Opts":{"a":1}}', 400],
    ['/VolumeDriver.Create', `{"Name":"${'x'.repeat(2_000_000)}"}`, 400],
    ['/VolumeDriver.Mount', '{"Name":"none","ID":"i"}', 500],
    ['/VolumeDriver.Nothing', '{}', 404],
    ['/', '', 404],
  ] as const;
  for (const [path, body, status] of cases) {
    expect(await post(socket, path, body)).toEqual({ status, answer: { Err: expect.stringMatching(/./) } });
  }
  expect(await post(socket, '/Plugin.Activate', '')).toEqual({ status: 200, answer: { Implements: ['VolumeDriver'] } });
});

test('the socket is for its owner alone; one that a killed process has left is replaced, any other is not', async () => {
  const { directory, socket, server } = await served();
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  const again = () => serveVolumeDriver(directories(directory, []), { socket });
  await expect(again()).rejects.toMatchObject({ code: 'ERR_EXISTS' });
  await server.close();
  expect(existsSync(socket)).toBe(false);
  writeFileSync(socket, '');
  await expect(again()).rejects.toMatchObject({ code: 'ERR_EXISTS' });
});
