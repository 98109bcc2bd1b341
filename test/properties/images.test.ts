// What registries and archives say of images: manifests, indexes, configurations, and the names of it all.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readConfig } from '../../lib/images/config.ts';
import { checkDigest } from '../../lib/images/digest.ts';
import { layersMax, manifestsMax } from '../../lib/images/limits.ts';
import { readDocument } from '../../lib/images/manifest.ts';
import { parseReference, showReference } from '../../lib/images/reference.ts';
import { Refused } from '../../lib/layers/refused.ts';
import { anything, changedFrom } from './documents.ts';
import { runs } from './runs.ts';

const hex = 'ab'.repeat(32);
const digest = `sha256:${hex}`;
const oci = 'application/vnd.oci.image';
const types = { manifest: `${oci}.manifest.v1+json`, index: `${oci}.index.v1+json` };
const blob = (mediaType: string) => ({ mediaType, digest, size: 7 });

const manifest = () => ({
  schemaVersion: 2,
  mediaType: types.manifest,
  config: blob(`${oci}.config.v1+json`),
  layers: [blob(`${oci}.layer.v1.tar+gzip`), blob('application/vnd.docker.image.rootfs.diff.tar.gzip')],
  annotations: { 'org.opencontainers.image.title': 'x' },
});
const index = () => ({
  schemaVersion: 2,
  mediaType: types.index,
  manifests: [
    {
      ...blob(types.manifest),
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
      annotations: { a: 'b' },
    },
    blob(types.index),
  ],
});
const config = () => ({
  architecture: 'amd64',
  os: 'linux',
  created: '2026-01-01T00:00:00Z',
  config: {
    ...{ Env: ['A=b'], Cmd: ['sh'], Entrypoint: ['/x'], WorkingDir: '/', User: '1:2', StopSignal: 'SIGTERM' },
    ...{ ExposedPorts: { '80/tcp': {} }, Volumes: { '/v': {} }, Labels: { a: 'b' } },
  },
  rootfs: { type: 'layers', diff_ids: [digest] },
  history: [{ created_by: 'x', empty_layer: true }],
});

/** As a document is sent; a bigint stands for digits that no number of JavaScript has. */
const bytesOf = (value: unknown) =>
  Buffer.from(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? Number(item) : item)) ?? 'null');

/** What it gives, or undefined where it refuses; anything else is a failure. */
function accepted<T>(what: () => T): T | undefined {
  try {
    return what();
  } catch (error) {
    if (error instanceof Refused && error.message.length < 1000) return undefined;
    throw error;
  }
}

/** A document, now and then cut or with a byte changed. */
const sent = (value: fc.Arbitrary<unknown>) =>
  fc
    .tuple(value.map(bytesOf), fc.option(fc.tuple(fc.nat(5000), fc.nat(255)), { freq: 4 }), fc.boolean())
    .map(([bytes, damage, cut]) => {
      if (damage === null) return bytes;
      const at = damage[0] % (bytes.length + 1);
      if (cut || at === bytes.length) return bytes.subarray(0, at);
      const damaged = Buffer.from(bytes);
      damaged[at] = damage[1];
      return damaged;
    });

test('a manifest or index of any content is read within its limits, or refused in a sentence', () => {
  const any = fc.oneof(anything, changedFrom(manifest), changedFrom(index));
  let read = 0;
  fc.assert(
    fc.property(sent(any), fc.constantFrom(types.manifest, types.index), (bytes, type) => {
      const document = accepted(() => readDocument(bytes, type, 'the document'));
      if (document === undefined) return;
      read++;
      const descriptors = document.kind === 'index' ? document.manifests : [document.config, ...document.layers];
      expect(descriptors.length).toBeLessThanOrEqual(document.kind === 'index' ? manifestsMax : layersMax + 1);
      for (const each of descriptors) {
        expect(checkDigest(each.digest, 'it')).toBe(each.digest);
        expect(Number.isSafeInteger(each.size) && each.size >= 0).toBe(true);
        expect(typeof each.mediaType).toBe('string');
      }
      expect(document.kind === 'index' ? type === types.index : type === types.manifest).toBe(true);
    }),
    runs(1500),
  );
  expect(read).toBeGreaterThan(0);
});

test('no document is an index to one reader and a manifest to another', () => {
  const both = fc.record({
    ...Object.fromEntries(Object.entries({ ...index(), ...manifest() }).map(([k, v]) => [k, fc.constant(v)])),
    mediaType: fc.constantFrom(undefined, types.index, types.manifest),
  });
  fc.assert(
    fc.property(both, fc.constantFrom(types.index, types.manifest), (document, type) => {
      expect(accepted(() => readDocument(bytesOf(document), type, 'the document'))).toBe(undefined);
    }),
    runs(50),
  );
});

test('a configuration of any content is read with the types that it should have, or refused in a sentence', () => {
  const text = (value: unknown) => value === undefined || (typeof value === 'string' && !value.includes('\0'));
  const texts = (value: unknown) => value === undefined || (Array.isArray(value) && value.every((v) => text(v)));
  let read = 0;
  fc.assert(
    fc.property(sent(fc.oneof(anything, changedFrom(config))), (bytes) => {
      const document = accepted(() => readConfig(bytes));
      if (document === undefined) return;
      read++;
      const { Env, Cmd, Entrypoint, WorkingDir, User, StopSignal, Labels = {} } = document.config;
      expect([Env, Cmd, Entrypoint].every(texts) && [WorkingDir, User, StopSignal].every(text)).toBe(true);
      expect(Object.values(Labels).every(text)).toBe(true);
      expect(document.diffIds.every((id) => checkDigest(id, 'it') === id)).toBe(true);
    }),
    runs(1500),
  );
  expect(read).toBeGreaterThan(0);
});

// The grammar of names of images, said as what writes them.
const chars = (set: string, length: { min: number; max: number }) =>
  fc.string({ unit: fc.constantFrom(...set), minLength: length.min, maxLength: length.max });
const alnum = 'abcxyz0189';
const component = fc
  .tuple(
    chars(alnum, { min: 1, max: 4 }),
    fc.constantFrom('', '.', '_', '__', '-', '---'),
    chars(alnum, { min: 1, max: 3 }),
  )
  .map((parts) => parts.join(''));
const path = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const label = fc
  .tuple(
    chars(`${alnum}ABZ`, { min: 1, max: 3 }),
    fc.constantFrom('', '-', '--'),
    chars(`${alnum}ABZ`, { min: 1, max: 3 }),
  )
  .map((parts) => parts.join(''));
const domain = fc.oneof(
  fc.constantFrom('localhost', '[::1]:5000', '[2001:db8::1]', 'a:1', '127.0.0.1'),
  fc.tuple(label, label, fc.constantFrom('', ':5000')).map(([a, b, port]) => `${a}.${b}${port}`),
);
const tag = fc
  .tuple(chars(`${alnum}AZ_`, { min: 1, max: 1 }), chars(`${alnum}AZ_.-`, { min: 0, max: 127 }))
  .map((p) => p.join(''));
const digests = fc.constantFrom(digest, `sha512:${hex}${hex}`);

test('a name as the grammar has it is understood as it was made', () => {
  fc.assert(
    fc.property(
      fc.option(domain, { nil: undefined }),
      path,
      fc.option(tag, { nil: undefined }),
      fc.option(digests, { nil: undefined }),
      (domain, path, tag, digest) => {
        const text = `${domain === undefined ? '' : `${domain}/`}${path}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
        // Without a domain the first part may look like one: that is what the next property is about.
        if (domain === undefined && /^(localhost\/|[^/]*\.[^/]*\/)/.test(text)) return;
        const reference = parseReference(text);
        expect(reference.domain).toBe(domain ?? 'docker.io');
        expect(reference.path).toBe(domain === undefined && !path.includes('/') ? `library/${path}` : path);
        expect(reference.digest).toBe(digest);
        expect(reference.tag).toBe(tag ?? (digest === undefined ? 'latest' : undefined));
        expect(parseReference(showReference(reference))).toEqual(reference);
      },
    ),
    runs(1500),
  );
});

test('what comes before the first slash is a domain if it has a dot or a colon or is localhost', () => {
  fc.assert(
    fc.property(fc.oneof(component, domain), path, (first, rest) => {
      const is = first === 'localhost' || /[.:]/.test(first) || /[A-Z]/.test(first);
      expect(parseReference(`${first}/${rest}`)).toMatchObject(
        is ? { domain: first } : { domain: 'docker.io', path: `${first}/${rest}` },
      );
    }),
    runs(1000),
  );
});
