import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createServer as createSocket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';
import { findPlugin } from '../../lib/volumes/plugins/discovery.ts';
import { PluginDriver, type PluginOptions } from '../../lib/volumes/plugins/driver.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { type Answer, answers, plugin } from './plugin.ts';
import { temporaryData, volumesIn } from './stores.ts';

const test = testIf('userns');
const quick: PluginOptions = { timeoutMs: 500, patienceMs: 0 };

/** A plugin `p` that answers so, shaken hands with. */
async function opened(by: Parameters<typeof answers>[0], options = quick) {
  const directory = await temporaryDirectory();
  const recorded = await plugin(directory, 'p', answers(by));
  const address = await findPlugin('p', { sockets: [directory], specs: [] });
  return { directory, recorded, open: () => PluginDriver.open('p', address, options) };
}

test('each call is a POST of JSON to its method, with Docker’s media type', async () => {
  const { directory, recorded, open } = await opened({
    'VolumeDriver.Capabilities': { Capabilities: { Scope: 'GLOBAL' } },
    'VolumeDriver.Mount': (_, response) => response.end(JSON.stringify({ Mountpoint: directory, Err: '' })),
    'VolumeDriver.Get': {
      Volume: { Name: 'v', Mountpoint: '/m', CreatedAt: '2020-01-01T00:00:00Z', Status: { a: 1 } },
    },
    'VolumeDriver.List': { Volumes: [{ Name: 'v' }, { Name: 'w', Mountpoint: '/w' }] },
    'VolumeDriver.Path': { Mountpoint: '/m' },
  });
  const driver = await open();
  const volume = { name: 'v', options: { size: '1' } };
  await driver.create(volume);
  expect(await driver.mount({ ...volume, id: 'i' })).toBe(directory);
  expect(await driver.get('v')).toEqual({
    name: 'v',
    mountpoint: '/m',
    created: '2020-01-01T00:00:00Z',
    status: { a: 1 },
  });
  expect(await driver.path('v')).toBe('/m');
  expect((await driver.list()).map(({ name, mountpoint }) => [name, mountpoint])).toEqual([
    ['v', undefined],
    ['w', '/w'],
  ]);
  await driver.unmount({ ...volume, id: 'i' });
  await driver.remove(volume);
  expect(driver.scope).toBe('global');
  expect(recorded.map(({ method, body }) => [method, body])).toEqual([
    ['Plugin.Activate', undefined],
    ['VolumeDriver.Capabilities', {}],
    ['VolumeDriver.Create', { Name: 'v', Opts: { size: '1' } }],
    ['VolumeDriver.Mount', { Name: 'v', ID: 'i' }],
    ['VolumeDriver.Get', { Name: 'v' }],
    ['VolumeDriver.Path', { Name: 'v' }],
    ['VolumeDriver.List', {}],
    ['VolumeDriver.Unmount', { Name: 'v', ID: 'i' }],
    ['VolumeDriver.Remove', { Name: 'v' }],
  ]);
  expect(recorded.every(({ headers }) => headers['accept'] === 'application/vnd.docker.plugins.v1.2+json')).toBe(true);
});

test('a plugin without capabilities, as they were once, has volumes of this machine', async () => {
  const { open } = await opened({
    'VolumeDriver.Capabilities': (_, response) => response.writeHead(404).end('404 page not found'),
  });
  expect((await open()).scope).toBe('local');
});

test('a plugin that is not up yet is waited for', async () => {
  const directory = await temporaryDirectory();
  const address = { kind: 'unix', path: join(directory, 'late.sock') } as const;
  const opening = PluginDriver.open('late', address, { timeoutMs: 500, patienceMs: 15_000 });
  await plugin(directory, 'late', answers({}));
  expect((await opening).name).toBe('late');
});

describe('a plugin that', () => {
  const fails: readonly (readonly [
    what: string,
    method: string,
    answer: Answer | object,
    code: string,
    why: string,
  ])[] = [
    ['says no', 'VolumeDriver.Create', { Err: 'no space left' }, 'ERR_DRIVER', 'no space left'],
    [
      'says no with a status',
      'VolumeDriver.Create',
      (_, r) => r.writeHead(500).end('{"Err":"boom"}'),
      'ERR_DRIVER',
      'boom (status 500)',
    ],
    [
      'says what is no JSON',
      'VolumeDriver.Create',
      (_, r) => r.end('<html>'),
      'ERR_DRIVER',
      'not a JSON object: "<html>"',
    ],
    ['says a list', 'VolumeDriver.Create', (_, r) => r.end('[1]'), 'ERR_DRIVER', 'not a JSON object'],
    [
      'says nothing',
      'VolumeDriver.Create',
      () => undefined,
      'ERR_TIMEOUT',
      'did not answer VolumeDriver.Create in 500 ms',
    ],
    ['stops in the middle', 'VolumeDriver.Create', (_, r) => void r.write('{"Err":'), 'ERR_TIMEOUT', 'did not answer'],
    ['hangs up', 'VolumeDriver.Create', (_, r) => void r.socket?.destroy(), 'ERR_DRIVER', 'the connection broke'],
    ['says too much', 'VolumeDriver.Create', (_, r) => void endless(r), 'ERR_DRIVER', 'more than 8388608 bytes'],
    ['mounts nothing', 'VolumeDriver.Mount', {}, 'ERR_DRIVER', 'it named no mountpoint'],
    ['mounts a number', 'VolumeDriver.Mount', { Mountpoint: 7 }, 'ERR_DRIVER', 'it named no mountpoint'],
    [
      'mounts something relative',
      'VolumeDriver.Mount',
      { Mountpoint: 'base/v' },
      'ERR_DRIVER',
      'is not an absolute path',
    ],
    ['mounts what is not there', 'VolumeDriver.Mount', { Mountpoint: '/no/such' }, 'ERR_DRIVER', 'ENOENT'],
    ['mounts a file', 'VolumeDriver.Mount', { Mountpoint: '/etc/passwd' }, 'ERR_DRIVER', 'is not a directory'],
    ['mounts the root', 'VolumeDriver.Mount', { Mountpoint: '/usr/..' }, 'ERR_DRIVER', 'the root of the host'],
    ['tells of another volume', 'VolumeDriver.List', { Volumes: [{}] }, 'ERR_DRIVER', 'has no "Name"'],
    ['lists an object', 'VolumeDriver.List', { Volumes: { a: 1 } }, 'ERR_DRIVER', 'is no list'],
  ];
  test.each(fails)('%s is an error', async (_what, method, answer, code, why) => {
    const { open } = await opened({ [method]: answer });
    const driver = await open();
    const volume = { name: 'v', options: {}, id: 'i' };
    const work = method.endsWith('Create')
      ? driver.create(volume)
      : method.endsWith('List')
        ? driver.list()
        : driver.mount(volume);
    await expect(work).rejects.toMatchObject({ code, message: expect.stringContaining(why) });
  });

  test('mounts a link is told to let go of it', async () => {
    const directory = await temporaryDirectory();
    symlinkSync('/etc', join(directory, 'link'));
    for (const name of ['link', 'link/apt']) {
      const { open, recorded } = await opened({ 'VolumeDriver.Mount': { Mountpoint: join(directory, name) } });
      const mount = (await open()).mount({ name: 'v', options: {}, id: 'i' });
      await expect(mount).rejects.toMatchObject({
        code: 'ERR_DRIVER',
        message: expect.stringContaining('symbolic link'),
      });
      expect(recorded.at(-1)).toMatchObject({ method: 'VolumeDriver.Unmount', body: { Name: 'v', ID: 'i' } });
    }
  });

  test('has no volumes, or does not shake hands, is none', async () => {
    const handshakes: readonly (readonly [object | Answer, string])[] = [
      [{ Implements: ['NetworkDriver'] }, 'it implements ["NetworkDriver"]'],
      [{}, 'it implements []'],
      [(_, r) => r.writeHead(404).end(), 'status 404'],
    ];
    for (const [answer, why] of handshakes) {
      const { open } = await opened({ 'Plugin.Activate': answer });
      await expect(open()).rejects.toMatchObject({ code: 'ERR_DRIVER', message: expect.stringContaining(why) });
    }
  });

  test('is gone is an error, after the time that there is for it to come', async () => {
    const directory = await temporaryDirectory();
    const server = createSocket().listen(join(directory, 'gone.sock'));
    await new Promise((resolve) => server.once('listening', resolve));
    const address = await findPlugin('gone', { sockets: [directory], specs: [] });
    await new Promise((resolve) => server.close(resolve));
    const opening = PluginDriver.open('gone', address, { patienceMs: 1500 });
    await expect(opening).rejects.toMatchObject({
      code: 'ERR_DRIVER',
      message: expect.stringContaining('cannot be reached'),
    });
  });
});

async function endless(response: Parameters<Answer>[1]): Promise<void> {
  const piece = Buffer.alloc(1024 * 1024, ' ');
  response.on('error', () => undefined);
  while (!response.destroyed && response.writable) {
    if (response.write(piece)) continue;
    await new Promise((resolve) => {
      response.once('drain', resolve);
      response.once('close', resolve);
    });
  }
}

testIf('openssl')('a plugin behind TCP and TLS shows a certificate, and wants ours', async () => {
  const directory = await temporaryDirectory();
  const at = (name: string) => join(directory, name);
  const make = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '1',
    '-subj',
    '/CN=p',
  ];
  const files = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', at('key.pem'), '-out', at('cert.pem')];
  execFileSync('openssl', [...make, ...files], { stdio: 'pipe' });
  const { readFileSync } = await import('node:fs');
  const [key, cert] = [readFileSync(at('key.pem')), readFileSync(at('cert.pem'))];
  const server = createTlsServer(
    { key, cert, ca: cert, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      request.resume().once('end', () => response.end(JSON.stringify({ Implements: ['VolumeDriver'] })));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const Addr = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const spec = (name: string, TLSConfig: object): void =>
    writeFileSync(at(`${name}.json`), JSON.stringify({ Name: name, Addr, TLSConfig }));
  spec('good', { CAFile: at('cert.pem'), CertFile: at('cert.pem'), KeyFile: at('key.pem') });
  spec('stranger', { CertFile: at('cert.pem'), KeyFile: at('key.pem') });
  spec('lost', { CAFile: at('none.pem') });
  const open = async (name: string) =>
    PluginDriver.open(name, await findPlugin(name, { sockets: [], specs: [directory] }), quick);
  expect((await open('good')).scope).toBe('local');
  await expect(open('stranger')).rejects.toMatchObject({
    code: 'ERR_DRIVER',
    message: expect.stringContaining('self-signed'),
  });
  await expect(open('lost')).rejects.toMatchObject({ code: 'ERR_DRIVER', message: expect.stringContaining('ENOENT') });
});

test('volumes of a plugin are made by it, seen where it has them, and go with it; one that cannot be asked is a warning', async () => {
  const directory = await temporaryDirectory();
  const there = new Set(['theirs']);
  const name = (body: unknown) => (body as { Name: string }).Name;
  const recorded = await plugin(
    directory,
    'p',
    answers({
      'VolumeDriver.Create': ({ body }, r) => r.end(JSON.stringify(there.add(name(body)) && {})),
      'VolumeDriver.Remove': ({ body }, r) => r.end(JSON.stringify({ Err: there.delete(name(body)) ? '' : 'none' })),
      'VolumeDriver.Get': ({ body }, r) =>
        r.end(JSON.stringify(there.has(name(body)) ? { Volume: { Name: name(body) } } : { Err: 'no such volume' })),
      'VolumeDriver.List': (_, r) => r.end(JSON.stringify({ Volumes: [...there].map((each) => ({ Name: each })) })),
    }),
  );
  writeFileSync(join(directory, 'broken.json'), '{}');
  const data = temporaryData();
  const volumes = volumesIn(data, { plugins: [directory] });
  await volumes.create({ name: 'ours', driver: 'p', options: { size: '1' }, labels: { a: 'b' } });
  await volumes.create({ name: 'theirs', driver: 'p' });
  expect(recorded.filter(({ method }) => method === 'VolumeDriver.Create').map(({ body }) => body)).toEqual([
    { Name: 'ours', Opts: { size: '1' } },
  ]);
  there.add('foreign');
  const { volumes: found, warnings } = await volumes.survey();
  expect(found.map((volume) => [volume.name, volume.driver])).toEqual([
    ['foreign', 'p'],
    ['ours', 'p'],
    ['theirs', 'p'],
  ]);
  expect(warnings).toEqual([expect.stringContaining('broken.json')]);
  expect((await volumes.get('foreign')).driver).toBe('p');
  for (const each of ['ours', 'foreign']) await volumes.remove(each);
  expect([...there]).toEqual(['theirs']);
  there.delete('theirs');
  await expect(volumes.remove('theirs')).rejects.toMatchObject({ code: 'ERR_DRIVER' });
  await volumes.remove('theirs', { force: true });
  expect(existsSync(join(data, 'volumes/theirs'))).toBe(false);
  mkdirSync(join(directory, 'late'));
});
