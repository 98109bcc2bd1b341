import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect } from 'vitest';
import type { RuntsError } from '../../lib/errors.ts';
import type { RegistryConfig } from '../../lib/images/registry/config.ts';
import { can, testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/unpacked.ts';
import { answer, apiError, between, type Fault, isBlob, isManifest } from './registry/between.ts';
import { startSharedRegistry } from './registry/daemon.ts';
import { configFor, newStore, publish, pullTo, record } from './registry/images.ts';

const needsRegistry = testIf('docker-registry');
const layerBytes = 2_000_000;

let upstream: Awaited<ReturnType<typeof startSharedRegistry>>;
let image: Awaited<ReturnType<typeof publish>>;
/** Of the layer, the largest blob of the image. */
let digest: string;

beforeAll(async () => {
  if (can('docker-registry') !== true) return;
  upstream = await startSharedRegistry();
  image = await publish(upstream.host, 'app', [layerBytes], configFor('/nonexistent'));
  digest = layerDigest(image);
});
afterAll(() => upstream?.stop());

/** An image in a registry, and a pull of it through something that goes wrong. */
async function pullThrough(fault: Fault, more: { timing?: Partial<RegistryConfig['timing']> } = {}) {
  const base = configFor(await temporaryDirectory());
  const config = { ...base, timing: { ...base.timing, ...more.timing } };
  const server = await between(upstream.host, fault);
  const store = await newStore();
  const recorded = record();
  const attempt = () => pullTo(store, `${server.host}/app`, config, recorded);
  return { server, store, attempt, news: recorded.news, config };
}

const isLayer = (request: Parameters<Fault>[0]) => isBlob(request) && request.url!.endsWith(digest);

function layerDigest(image: { files: Record<string, Buffer | string> }): string {
  const [path] = Object.entries(image.files).find(([, bytes]) => bytes.length > layerBytes / 2)!;
  return path.replace('blobs/', '').replace('/', ':');
}

/** The first so many times something, afterwards as it should be. */
function times(count: number, matches: (request: Parameters<Fault>[0]) => boolean, fault: Fault): Fault {
  let left = count;
  return (request, response, pass) => {
    if (left > 0 && matches(request)) {
      left--;
      fault(request, response, pass);
    } else pass();
  };
}

async function failureOf(attempt: () => Promise<unknown>): Promise<RuntsError> {
  return attempt().then(
    () => expect.fail('it succeeded'),
    (error: RuntsError) => error,
  );
}

const overcome: readonly (readonly [
  what: string,
  count: number,
  matches: (r: Parameters<Fault>[0]) => boolean,
  fault: Fault,
])[] = [
  ['500 for a manifest', 2, isManifest, (_, response) => apiError(response, 500, 'UNKNOWN', 'oh')],
  ['503 for a blob', 2, isBlob, (_, response) => answer(response, 503, 'busy')],
  [
    '429 with a wait',
    2,
    isBlob,
    (_, response) => apiError(response, 429, 'TOOMANYREQUESTS', 'slow', { 'retry-after': '0' }),
  ],
  ['a connection that is cut before an answer', 3, isBlob, (request) => request.socket.destroy()],
  ['a connection that is cut in mid-blob', 4, isBlob, (_request, _response, pass) => pass({ cutAfter: 300_000 })],
  ['a connection that is cut in mid-manifest', 2, isManifest, (_request, _response, pass) => pass({ cutAfter: 50 })],
  ['a blob in a chunked answer', 9, isBlob, (_r, _s, pass) => pass({ headers: { 'content-length': undefined } })],
  [
    'a registry that knows no ranges',
    2,
    isBlob,
    (r, _s, pass) => pass({ without: ['range'], ...(r.headers.range ? {} : { cutAfter: 100_000 }) }),
  ],
];
for (const [what, count, matches, fault] of overcome) {
  needsRegistry(`a pull overcomes ${what}`, async () => {
    const { attempt, store } = await pullThrough(times(count, matches, fault));
    await attempt();
    expect(await store.verify()).toMatchObject({ damaged: [], missing: [], blobs: 3 });
  });
}

needsRegistry('a pull that broke off goes on where it was', async () => {
  const ranges: (string | undefined)[] = [];
  const { attempt, store, news } = await pullThrough((request, _response, pass) => {
    if (!isLayer(request)) return pass();
    ranges.push(request.headers.range);
    return pass(ranges.length < 4 ? { cutAfter: 400_000 } : {});
  });
  await attempt();
  const starts = ranges.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]));
  expect(starts).toHaveLength(4);
  // What was on its way when the connection broke may be lost.
  starts.slice(1).forEach((start, i) => {
    expect(start).toBeGreaterThan(starts[i]!);
    expect(start).toBeLessThanOrEqual(starts[i]! + 400_000);
  });
  expect(news.filter(({ phase }) => phase === 'retrying').map(({ reason }) => reason)).toHaveLength(3);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
});

needsRegistry('a stalled connection is given up and asked for again', async () => {
  const stall: Fault = (_request, _response, pass) => pass({ stallAfter: 100_000 });
  const { attempt, store, news } = await pullThrough(times(2, isBlob, stall), { timing: { stallMs: 300 } });
  await attempt();
  expect(news.some(({ reason }) => /no answer for 0.3 s/.test(reason ?? ''))).toBe(true);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
});

needsRegistry('a blob whose bytes are wrong is refused, and nothing of it stays', async () => {
  const flip = (chunk: Buffer) => Buffer.from(chunk).fill(0x41, 0, 1);
  const { attempt, store } = await pullThrough((request, _response, pass) =>
    pass(isBlob(request) ? { body: flip } : {}),
  );
  const error = await failureOf(attempt);
  expect(error).toMatchObject({ code: 'ERR_IMAGE', hint: expect.stringContaining('Nothing of it was kept') });
  expect(error.message).toMatch(/127\.0\.0\.1:\d+ sent wrong bytes for a blob of 127\.0\.0\.1:\d+\/app/);
  expect(await store.verify()).toMatchObject({ blobs: 0 });
});

needsRegistry('the rest of a blob that began with wrong bytes is not believed: it is got anew', async () => {
  let asked = 0;
  const { attempt, store } = await pullThrough(
    (request, _response, pass) => {
      if (!isLayer(request)) return pass();
      asked++;
      const wrong = (chunk: Buffer) => Buffer.alloc(chunk.length, 0x42);
      return pass(asked === 1 ? { body: wrong, cutAfter: 500_000 } : {});
    },
    { timing: { attempts: 1 } },
  );
  await expect(attempt()).rejects.toMatchObject({ code: 'ERR_REGISTRY' });
  // What was left is taken up, found to be wrong at the end, and all of it is asked for again.
  await attempt();
  expect(asked).toBe(3);
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
});

const refusals: readonly (readonly [what: string, fault: Fault, message: RegExp, code: string])[] = [
  [
    'fewer bytes than promised, by the header',
    (r, response, pass) => (isBlob(r) ? answer(response, 200, 'short') : pass()),
    /answered 5 bytes, and should have sent \d+/,
    'ERR_REGISTRY',
  ],
  [
    'a blob that never ends',
    (r, response, pass) => {
      if (!isBlob(r)) return pass();
      response.writeHead(200);
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65536)));
        if (!response.destroyed) response.once('drain', more);
      };
      return more();
    },
    /answered more than the \d+ bytes that it should have/,
    'ERR_REGISTRY',
  ],
  [
    'a manifest that never ends',
    (r, response, pass) => {
      if (!isManifest(r)) return pass();
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' });
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65536, 0x20)));
        if (!response.destroyed) response.once('drain', more);
      };
      return more();
    },
    /answered more than 4194304 bytes/,
    'ERR_REGISTRY',
  ],
  [
    'a page for people instead of a manifest',
    (r, response, pass) =>
      isManifest(r)
        ? answer(response, 200, '<html>Log in</html>', { 'content-type': 'text/html; charset=utf-8' })
        : pass(),
    /a page for people instead of a manifest/,
    'ERR_REGISTRY',
  ],
  [
    'a manifest of a type that is none',
    (r, _s, pass) => pass(isManifest(r) ? { headers: { 'content-type': 'image/png' } } : {}),
    /a manifest of the type "image\/png"/,
    'ERR_REGISTRY',
  ],
  [
    'a manifest of another type than it says itself',
    (r, _s, pass) =>
      pass(
        isManifest(r) ? { headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v2+json' } } : {},
      ),
    /says that it is "application\/vnd\.oci\.image\.manifest/,
    'ERR_IMAGE',
  ],
  [
    'a manifest of the first schema',
    (r, _s, pass) =>
      pass(
        isManifest(r)
          ? { headers: { 'content-type': 'application/vnd.docker.distribution.manifest.v1+prettyjws' } }
          : {},
      ),
    /it is of the first schema/,
    'ERR_UNSUPPORTED',
  ],
  [
    'a manifest that has not the digest that is said',
    (r, _s, pass) => pass(isManifest(r) ? { headers: { 'docker-content-digest': `sha256:${'0'.repeat(64)}` } } : {}),
    /a manifest with the wrong digest/,
    'ERR_REGISTRY',
  ],
  [
    'no manifest, in its own words, without control characters',
    (r, response, pass) =>
      isManifest(r) ? apiError(response, 404, 'MANIFEST_UNKNOWN', 'no \x1b[31m such\nthing') : pass(),
    /answered 404 Not Found: no \[31m such thing \(MANIFEST_UNKNOWN\)/,
    'ERR_NOT_FOUND',
  ],
  [
    'that it is asked too often, for longer than anybody waits',
    (r, response, pass) =>
      isManifest(r) ? apiError(response, 429, 'TOOMANYREQUESTS', 'come back', { 'retry-after': '7200' }) : pass(),
    /429 Too Many Requests: come back/,
    'ERR_REGISTRY',
  ],
  [
    'redirects without end',
    (r, response, pass) => (isManifest(r) ? answer(response, 307, '', { location: r.url! }) : pass()),
    /more than 5 redirects/,
    'ERR_REGISTRY',
  ],
  [
    'a redirect to a file',
    (r, response, pass) => (isManifest(r) ? answer(response, 302, '', { location: 'file:///etc/passwd' }) : pass()),
    /a redirect to file:\/\//,
    'ERR_REGISTRY',
  ],
  [
    'the wrong part of a blob',
    (r, response, pass) => (isBlob(r) ? answer(response, 206, 'xxxxx', { 'content-range': 'bytes 5-9/10' }) : pass()),
    /the wrong part of it/,
    'ERR_REGISTRY',
  ],
  [
    'something that is no HTTP',
    (r, response, pass) => (isManifest(r) ? response.socket!.end('SSH-2.0-OpenSSH_9.2\r\n') : pass()),
    /Parse Error|Expected HTTP/,
    'ERR_REGISTRY',
  ],
];
for (const [what, fault, message, code] of refusals) {
  needsRegistry(`a registry that answers ${what} is refused in words`, async () => {
    const { attempt, store } = await pullThrough(fault);
    const error = await failureOf(attempt);
    expect(error.message).toMatch(message);
    expect(error).toMatchObject({ code, hint: expect.any(String) });
    expect(await store.list()).toEqual([]);
  });
}

needsRegistry('a proxy that compresses answers alters nothing', async () => {
  const { attempt, store } = await pullThrough(async (request, response, pass) => {
    if (!isManifest(request)) return pass();
    const real = await fetch(`http://${upstream.host}${request.url}`, { headers: { accept: request.headers.accept! } });
    const body = gzipSync(Buffer.from(await real.arrayBuffer()));
    response.writeHead(200, { 'content-type': real.headers.get('content-type')!, 'content-encoding': 'gzip' });
    return response.end(body);
  });
  await attempt();
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [], blobs: 3 });
});

needsRegistry('credentials do not follow a redirect to another host, and its challenge is not answered', async () => {
  const thief = await between(undefined, (_request, response) =>
    answer(response, 401, '', { 'www-authenticate': 'Basic realm="give"' }),
  );
  const { server, store, config } = await pullThrough((request, response, pass) => {
    if (request.headers.authorization === undefined) {
      return answer(response, 401, '', { 'www-authenticate': 'Basic realm="here"' });
    }
    if (isBlob(request)) return answer(response, 307, '', { location: `http://${thief.host}/blob` });
    return pass({ without: ['authorization'] });
  });
  const auth = { username: 'me', password: 'secret' };
  const error = await failureOf(() => pullTo(store, `${server.host}/app`, config, { auth }));
  expect(error.message).toMatch(/answered 401/);
  expect(server.requests.some(({ headers }) => headers.authorization !== undefined)).toBe(true);
  expect(thief.requests.length).toBeGreaterThan(0);
  expect(thief.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
});

needsRegistry('a pull that is canceled stops, says so, and is gone on with later', async () => {
  const controller = new AbortController();
  const stall: Fault = (_request, _response, pass) => pass({ stallAfter: 500_000 });
  const { server, store, config, attempt } = await pullThrough(times(1, isLayer, stall));
  const canceled = pullTo(store, `${server.host}/app`, config, {
    signal: controller.signal,
    onProgress: ({ phase, done }: { phase: string; done: number }) => {
      if (phase === 'downloading' && done > 100_000) controller.abort(new Error('enough'));
    },
  });
  expect(await failureOf(() => canceled)).toMatchObject({ code: 'ERR_CANCELED', cause: new Error('enough') });
  await attempt();
  expect(await store.verify()).toMatchObject({ damaged: [], missing: [] });
});
