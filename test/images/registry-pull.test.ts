import { execFileSync, spawn } from 'node:child_process';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { ImageStore } from '../../lib/images/store/store.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { apiError, between, isBlob } from './registry/between.ts';
import { startRegistry } from './registry/daemon.ts';
import { configFor, newStore, publish, pullTo, record } from './registry/images.ts';

const needsRegistry = testIf('docker-registry');
const needsTools = testIf('docker-registry', 'skopeo', 'umoci', 'buildah', 'busybox', 'root');

needsRegistry('an image that was pushed comes back whole, and a second pull brings nothing', async () => {
  const { host } = await startRegistry();
  const config = configFor(await temporaryDirectory());
  const { descriptor } = await publish(host, 'tools/make:1', [3_000_000, 10, 500_000], config);

  const store = await newStore();
  const first = record();
  const pulled = await pullTo(store, `${host}/tools/make:1`, config, first);
  expect(pulled).toMatchObject({ reference: `${host}/tools/make:1`, isUpToDate: false });
  expect(pulled.descriptor.digest).toBe(descriptor['digest']);
  expect(first.news.filter(({ phase }) => phase === 'done')).toHaveLength(4);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });

  const second = record();
  expect(await pullTo(store, `${host}/tools/make:1`, config, second)).toMatchObject({ isUpToDate: true });
  expect(new Set(second.news.map(({ phase }) => phase))).toEqual(new Set(['waiting', 'exists']));

  // By digest too, and under that name.
  const byDigest = `${host}/tools/make@${descriptor['digest']}`;
  expect(await pullTo(store, byDigest, config)).toMatchObject({ reference: byDigest, isUpToDate: false });
  const wrong = pullTo(store, `${host}/tools/make@sha256:${'0'.repeat(64)}`, config);
  await expect(wrong).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});

needsTools('images by umoci and buildah, sent by skopeo and buildah, are pulled', async () => {
  const { host } = await startRegistry();
  const directory = await temporaryDirectory();
  const config = configFor(directory);
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe', encoding: 'utf8' });
  const layout = join(directory, 'layout');
  run('umoci', 'init', '--layout', layout);
  run('umoci', 'new', '--image', `${layout}:bb`);
  run('umoci', 'insert', '--image', `${layout}:bb`, '/bin/busybox', '/bin/busybox');
  run(
    'skopeo',
    '--insecure-policy',
    'copy',
    '--dest-tls-verify=false',
    `oci:${layout}:bb`,
    `docker://${host}/by-umoci`,
  );
  const root = ['--root', join(directory, 'buildah'), '--runroot', join(directory, 'run'), '--storage-driver', 'vfs'];
  const container = run('buildah', ...root, 'from', 'scratch').trim();
  run('buildah', ...root, 'copy', container, '/bin/busybox', '/bin/busybox');
  run('buildah', ...root, 'config', '--cmd', '/bin/busybox', container);
  run(
    'buildah',
    ...root,
    'commit',
    '--tls-verify=false',
    '--format',
    'docker',
    container,
    `docker://${host}/by-buildah`,
  );
  for (const name of ['by-umoci', 'by-buildah']) {
    const store = await newStore();
    await pullTo(store, `${host}/${name}`, config);
    expect(await store.verify(), name).toMatchObject({ blobs: 3, damaged: [], missing: [] });
  }
});

needsRegistry(
  'a pull that is killed leaves a store that verifies, and is gone on with',
  { timeout: 90_000 },
  async () => {
    const upstream = await startRegistry();
    const { files } = await publish(upstream.host, 'app', [6_000_000], configFor('/nonexistent'));
    const layer = Object.keys(files)
      .find((path) => files[path]!.length > 1_000_000)!
      .replace('blobs/sha256/', '');
    const ranges: (string | undefined)[] = [];
    // Two pulls get no further than this, and are killed there.
    const { host } = await between(upstream.host, (request, _response, pass) => {
      if (!isBlob(request)) return pass();
      const isLayer = request.url!.endsWith(layer);
      if (isLayer) ranges.push(request.headers.range);
      return pass(isLayer && ranges.length <= 2 ? { stallAfter: 2_000_000 } : {});
    });
    const directory = join(await temporaryDirectory(), 'images');
    for (const bytes of [1_500_000, 3_000_000]) {
      await pullUntil(directory, `${host}/app`, bytes);
      const store = await ImageStore.open(directory);
      expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
      expect(await store.list()).toEqual([]);
    }
    const store = await ImageStore.open(directory);
    await pullTo(store, `${host}/app`, configFor('/nonexistent'));
    expect(await store.verify()).toMatchObject({ blobs: 3, damaged: [], missing: [] });
    const starts = ranges.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]));
    expect(starts).toHaveLength(3);
    expect(starts[1]).toBeGreaterThanOrEqual(1_500_000);
    expect(starts[2]).toBeGreaterThanOrEqual(3_000_000);
  },
);

/** Pulls in a process of its own, which is killed once so many bytes of the layer are there. */
async function pullUntil(directory: string, name: string, bytes: number): Promise<void> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const args = ['--import', here('../support/typescript.mjs'), here('registry/pull-once.ts'), directory, name];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
  onTestFinished(() => void child.kill('SIGKILL'));
  for await (const line of createInterface({ input: child.stdout })) {
    const [phase, done] = line.split(' ');
    if (phase === 'downloading' && Number(done) >= bytes) child.kill('SIGKILL');
  }
  expect(await ended).toBe('SIGKILL');
}

needsRegistry('what a mirror has comes from it, and what it has not, or has wrong, from the registry', async () => {
  const [origin, mirrored] = [await startRegistry(), await startRegistry()];
  const home = await temporaryDirectory();
  await publish(origin.host, 'app', [500_000], configFor(home));
  await publish(mirrored.host, 'app', [500_000], configFor(home));
  const silent = await between(undefined, (_request, response) => apiError(response, 503, 'UNAVAILABLE', 'down'));
  const liar = await between(origin.host, (request, _response, pass) =>
    pass(isBlob(request) ? { body: (chunk) => Buffer.alloc(chunk.length) } : {}),
  );
  const from = (...mirrors: string[]) =>
    configFor(home, { registries: { [origin.host]: { mirrors: mirrors.map((each) => `http://${each}`) } } });
  const digestFrom = async (config: ReturnType<typeof from>) => {
    const store = await newStore();
    const { descriptor } = await pullTo(store, `${origin.host}/app`, config);
    expect(await store.verify()).toMatchObject({ blobs: 3, damaged: [], missing: [] });
    return descriptor.digest;
  };
  const real = await digestFrom(from());
  expect(await digestFrom(from(mirrored.host))).not.toBe(real);
  expect(await digestFrom(from(silent.host))).toBe(real);
  expect(await digestFrom(from(liar.host))).toBe(real);
  expect(await digestFrom(from('127.0.0.1:1'))).toBe(real);
  expect(silent.seen.length).toBeGreaterThan(0);
  expect(liar.seen.length).toBeGreaterThan(0);
});

needsRegistry('a proxy of the environment is gone through, but not to this machine itself', async () => {
  const { host } = await startRegistry();
  const home = await temporaryDirectory();
  await publish(host, 'app', [1000], configFor(home));
  const asked: string[] = [];
  const proxy = http.createServer((request, response) => {
    asked.push(request.url!);
    const [hostname, port] = host.split(':');
    const { pathname } = new URL(request.url!);
    const onward = { hostname, port, path: pathname, method: request.method, headers: request.headers };
    request.pipe(http.request(onward, (answer) => answer.pipe(response.writeHead(answer.statusCode!, answer.headers))));
  });
  proxy.on('connect', (request, socket) => {
    asked.push(`CONNECT ${request.url}`);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  const address = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const base = configFor(home, { registries: { 'far.test': { insecure: true, mirrors: ['http://far.test'] } } });
  const environment = { ...base.environment, HTTP_PROXY: address, HTTPS_PROXY: address };
  const store = await newStore();
  await pullTo(store, 'far.test/app', { ...base, environment });
  expect(asked[0]).toBe('http://far.test/v2/app/manifests/latest');
  await expect(pullTo(await newStore(), 'other.test/app', { ...base, environment })).rejects.toMatchObject({
    code: 'ERR_REGISTRY',
    message: expect.stringContaining('answered 403 to CONNECT'),
  });
  asked.length = 0;
  await pullTo(await newStore(), `${host}/app`, { ...base, environment });
  expect(asked).toEqual([]);
});

needsRegistry('several pulls of one image at once bring each blob once', async () => {
  const upstream = await startRegistry();
  const config = configFor(await temporaryDirectory());
  await publish(upstream.host, 'app', [1_000_000, 500_000], config);
  const { host, seen } = await between(upstream.host, (_request, _response, pass) => pass());
  const { directory } = await newStore();
  const stores = await Promise.all([1, 2, 3, 4].map(() => ImageStore.open(directory)));
  await Promise.all(stores.map((store) => pullTo(store, `${host}/app`, config)));
  expect(seen.filter((each) => each.startsWith('GET') && each.includes('/blobs/sha256'))).toHaveLength(3);
  expect(await stores[0]!.verify()).toMatchObject({ blobs: 4, damaged: [], missing: [] });
});
