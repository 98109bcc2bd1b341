import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import { parseReference } from '../../lib/images/reference.ts';
import { copy } from '../../lib/images/transfer/copy.ts';
import { push } from '../../lib/images/transfer/push.ts';
import { ociImage, thisArchitecture } from '../support/archives.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { apiError, between, isManifest, isUploadData } from './registry/between.ts';
import { startRegistry } from './registry/daemon.ts';
import {
  asDescriptor,
  configFor,
  forPlatforms,
  newStore,
  publish,
  pullTo,
  record,
  someLayer,
  storeImage,
} from './registry/images.ts';

const needsRegistry = testIf('docker-registry');
const needsSkopeo = testIf('docker-registry', 'skopeo');
const platforms = [
  { os: 'linux', architecture: thisArchitecture },
  { os: 'linux', architecture: 'arm', variant: 'v6' },
  { os: 'linux', architecture: 'arm', variant: 'v7' },
];

needsRegistry('what a registry has is not sent again: it is found, or taken over from another repository', async () => {
  const { host } = await startRegistry();
  const config = configFor(await temporaryDirectory());
  const store = await newStore();
  const image = ociImage({ layers: [someLayer(2_000_000), someLayer(10)] });
  const names = [`${host}/a:1`, `${host}/a:2`, `${host}/b:1`];
  for (const name of names) await storeImage(store, name, image);
  const phases: string[][] = [];
  for (const name of names) {
    const { news, onProgress } = record();
    await push(store, parseReference(name), { config, onProgress });
    phases.push(news.map(({ phase }) => phase).filter((phase) => !['waiting', 'uploading'].includes(phase)));
  }
  expect(phases).toEqual([Array(3).fill('done'), Array(3).fill('exists'), Array(3).fill('mounted')]);
  const back = await newStore();
  for (const name of names) await pullTo(back, name, config);
  expect(await back.verify()).toMatchObject({ blobs: 4, damaged: [], missing: [] });
});

needsRegistry('an upload that broke off goes on where it was', async () => {
  const upstream = await startRegistry();
  const base = configFor(await temporaryDirectory());
  const config = { ...base, timing: { ...base.timing, uploadBytes: 1_000_000 } };
  const sent: string[] = [];
  const { host } = await between(upstream.host, (request, _response, pass) => {
    if (!isUploadData(request)) return pass();
    sent.push(request.headers['content-range']!);
    // (Of a request that broke off in the middle docker-registry forgets the upload: that begins anew, as below.)
    if (sent.length === 3) return request.socket.destroy();
    return pass();
  });
  await publish(host, 'app', [4_000_000], config);
  const starts = sent.map((range) => Number(range.split('-')[0]));
  expect(starts.slice(0, 3)).toEqual([0, 1_000_000, 2_000_000]);
  expect(starts.slice(3)).toEqual([2_000_000, 3_000_000, 4_000_000]);
  const store = await newStore();
  await pullTo(store, `${upstream.host}/app`, config);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
});

needsRegistry('an upload that broke off in the middle of a request ends well', async () => {
  const upstream = await startRegistry();
  const config = configFor(await temporaryDirectory());
  let requests = 0;
  const { host } = await between(upstream.host, (request, _response, pass) => {
    if (isUploadData(request) && requests++ === 0) {
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > 1_000_000) request.socket.destroy();
      });
    }
    return pass();
  });
  await publish(host, 'app', [3_000_000], config);
  const store = await newStore();
  await pullTo(store, `${upstream.host}/app`, config);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
});

needsRegistry('an upload that the registry has forgotten begins anew', async () => {
  const upstream = await startRegistry();
  const config = configFor(await temporaryDirectory());
  let forgotten = 0;
  const { host } = await between(upstream.host, (request, response, pass) => {
    if (!isUploadData(request) || forgotten > 0) return pass();
    forgotten++;
    request.resume();
    return apiError(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'gone');
  });
  await publish(host, 'app', [2_000_000], config);
  expect(forgotten).toBe(1);
});

needsRegistry('a registry that refuses an upload says why', async () => {
  const upstream = await startRegistry();
  const config = configFor(await temporaryDirectory());
  const { host } = await between(upstream.host, (request, response, pass) =>
    request.method === 'POST'
      ? apiError(response, 403, 'DENIED', 'requested access to the resource is denied')
      : pass(),
  );
  await expect(publish(host, 'app', [10], config)).rejects.toMatchObject({
    code: 'ERR_REGISTRY',
    message: expect.stringMatching(/403 Forbidden: requested access to the resource is denied \(DENIED\)/),
    hint: expect.stringContaining(`runts login ${host}`),
  });
});

needsRegistry('of an image for several platforms one is pulled, the nearest variant, or all', async () => {
  const { host } = await startRegistry();
  const config = configFor(await temporaryDirectory());
  const from = await newStore();
  const name = `${host}/multi:1`;
  const { files, descriptor } = forPlatforms(...platforms);
  await storeImage(from, name, { files, descriptor });
  await push(from, parseReference(name), { config });

  const one = await newStore();
  const pulled = await pullTo(one, name, config);
  // The name leads to the index, as it does at the registry.
  expect(pulled.descriptor.digest).toBe(descriptor['digest']);
  expect(await one.verify()).toMatchObject({ blobs: 4, damaged: [], missing: [] });

  const arm = await newStore();
  await pullTo(arm, name, config, { platform: { os: 'linux', architecture: 'arm', variant: 'v6' } });
  const [image] = await arm.list();
  expect(image?.document.platform).toMatchObject({ os: 'linux', architecture: 'arm' });
  expect(
    JSON.parse(files[`blobs/${(descriptor['digest'] as string).replace(':', '/')}`] as string).manifests[1].digest,
  ).toBe(image?.descriptor.digest);

  const all = await newStore();
  await pullTo(all, name, config, { allPlatforms: true });
  expect(await all.verify()).toMatchObject({ blobs: 10, damaged: [], missing: [] });

  const none = pullTo(await newStore(), name, config, { platform: { os: 'linux', architecture: 'riscv64' } });
  await expect(none).rejects.toMatchObject({
    code: 'ERR_IMAGE',
    hint: `It is for linux/${thisArchitecture}, linux/arm/v6, linux/arm/v7.`,
  });
});

needsRegistry('of an index whose other images are not here, the one that is here is pushed', async () => {
  const { host } = await startRegistry();
  const config = configFor(await temporaryDirectory());
  const { files, descriptor } = forPlatforms(...platforms);
  const from = await newStore();
  await storeImage(from, `${host}/multi:1`, { files, descriptor });
  await push(from, parseReference(`${host}/multi:1`), { config });
  const store = await newStore();
  await pullTo(store, `${host}/multi:1`, config);
  await store.tag(`${host}/other:1`, asDescriptor(descriptor));
  const pushed = await push(store, parseReference(`${host}/other:1`), { config });
  expect(pushed.descriptor.digest).not.toBe(descriptor['digest']);
  await pullTo(await newStore(), `${host}/other:1`, config);
});

needsRegistry('an image is copied from registry to registry, for one platform or for all', async () => {
  const [from, to] = [await startRegistry(), await startRegistry()];
  const config = configFor(await temporaryDirectory());
  const store = await newStore();
  const { files, descriptor } = forPlatforms(...platforms);
  await storeImage(store, `${from.host}/multi:1`, { files, descriptor });
  await push(store, parseReference(`${from.host}/multi:1`), { config });
  const source = parseReference(`${from.host}/multi:1`);

  const one = await copy(source, parseReference(`${to.host}/one:1`), { config });
  expect(one.descriptor.mediaType).toBe('application/vnd.oci.image.manifest.v1+json');
  const all = await copy(source, parseReference(`${to.host}/all:1`), { config, allPlatforms: true });
  expect(all.descriptor.digest).toBe(descriptor['digest']);
  const back = await newStore();
  await pullTo(back, `${to.host}/all:1`, config, { allPlatforms: true });
  expect(await back.verify()).toMatchObject({ blobs: 10, damaged: [], missing: [] });
  // Inside one registry nothing is sent: it takes over what it has.
  const { news, onProgress } = record();
  await copy(parseReference(`${to.host}/all:1`), parseReference(`${to.host}/again:1`), {
    config,
    allPlatforms: true,
    onProgress,
  });
  expect(new Set(news.map(({ phase }) => phase))).toEqual(new Set(['waiting', 'mounted']));
});

needsRegistry('a copy overcomes a source that breaks off', async () => {
  const [upstream, to] = [await startRegistry(), await startRegistry()];
  const config = configFor(await temporaryDirectory());
  await publish(upstream.host, 'app', [3_000_000], config);
  let cuts = 0;
  const { host } = await between(upstream.host, (request, _response, pass) =>
    pass(!isManifest(request) && request.method === 'GET' && cuts++ < 2 ? { cutAfter: 700_000 } : {}),
  );
  await copy(parseReference(`${host}/app`), parseReference(`${to.host}/app`), { config });
  const store = await newStore();
  await pullTo(store, `${to.host}/app`, config);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [], blobs: 3 });
});

needsSkopeo('skopeo reads what was pushed, and we what skopeo pushed, in both schemas and with zstd', async () => {
  const { host } = await startRegistry();
  const directory = await temporaryDirectory();
  const config = configFor(directory);
  const { descriptor } = await publish(host, 'app:1', [1_000_000, 10], config);
  // Where it looks otherwise may be another user's.
  const env = { ...process.env, REGISTRY_AUTH_FILE: join(directory, 'auth.json') };
  const skopeo = (...args: string[]) =>
    execFileSync('skopeo', ['--insecure-policy', ...args], { encoding: 'utf8', env });
  const inspected = JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${host}/app:1`));
  expect(inspected).toMatchObject({ Digest: descriptor['digest'], Architecture: thisArchitecture });

  const copyTo = (name: string, ...options: string[]) =>
    skopeo(
      'copy',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      ...options,
      `docker://${host}/app:1`,
      `docker://${host}/${name}`,
    );
  copyTo('schema2', '--format', 'v2s2');
  copyTo('zstd', '--format', 'oci', '--dest-compress-format', 'zstd', '--dest-compress');
  for (const name of ['schema2', 'zstd']) {
    const store = await newStore();
    await pullTo(store, `${host}/${name}`, config);
    expect(await store.verify(), name).toMatchObject({ blobs: 4, damaged: [], missing: [] });
    // The store is a layout that skopeo reads: of OCI's own documents, it knows no others there.
    if (name === 'zstd')
      skopeo('copy', `oci:${store.directory}:${host}/${name}:latest`, `dir:${join(directory, name)}`);
  }
});
