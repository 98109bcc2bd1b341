import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { type OpenArchiveOptions, openArchive } from '../../../lib/images/archive.ts';
import * as archives from '../../support/archives.ts';
import { unpackLayers } from '../../support/reference/unpack.ts';
import { look, temporaryDirectory } from '../../support/unpacked.ts';

const layers = [
  archives.tar({ name: 'a', content: '1' }, { name: 'b', content: '1' }),
  archives.tar({ name: 'a', content: '2' }),
];
const config = {
  Env: ['A=1'],
  Cmd: ['sh'],
  Entrypoint: null,
  WorkingDir: '/w',
  Labels: { x: 'y' },
  ExposedPorts: { '80/tcp': {} },
};
const parts = { layers, config };
const seen = { Env: ['A=1'], Cmd: ['sh'], WorkingDir: '/w', Labels: { x: 'y' }, ExposedPorts: { '80/tcp': {} } };

async function write(bytes: Buffer | string): Promise<string> {
  const path = join(await temporaryDirectory(), 'image.tar');
  fs.writeFileSync(path, bytes);
  return path;
}

async function writeDirectory(files: archives.Files): Promise<string> {
  const directory = await temporaryDirectory();
  for (const [name, content] of Object.entries(files)) {
    fs.mkdirSync(dirname(join(directory, name)), { recursive: true });
    fs.writeFileSync(join(directory, name), content);
  }
  return directory;
}

function ociFiles(lies: archives.OciLies = {}, of: archives.ImageParts = parts): archives.Files {
  const { files, descriptor } = archives.ociImage(of, lies);
  return archives.ociFiles([descriptor], files);
}

async function contents(path: string, options: OpenArchiveOptions = {}): Promise<string[]> {
  const image = await openArchive(path, options);
  const root = join(await temporaryDirectory(), 'root');
  fs.mkdirSync(root);
  try {
    await unpackLayers(image, root, { asRoot: false });
  } finally {
    await image.close();
  }
  return look(root);
}

async function refusal(path: string, options: OpenArchiveOptions = {}): Promise<RuntsError> {
  const error = await contents(path, options).catch((reason: unknown) => reason);
  if (!RuntsError.is(error)) throw new Error(`not refused: ${error}`);
  return error;
}

const forms: [string, () => Promise<string>][] = [
  ['docker-archive', () => write(archives.packFiles(archives.dockerFiles(parts)))],
  [
    'docker-archive with an OCI layout',
    () => write(archives.packFiles({ ...ociFiles(), ...archives.dockerFiles(parts) })),
  ],
  ['OCI archive', () => write(archives.packFiles(ociFiles()))],
  ['OCI layout directory', () => writeDirectory(ociFiles())],
  ['gzip of a docker-archive', () => write(gzipSync(archives.packFiles(archives.dockerFiles(parts))))],
  ['gzip of an OCI archive', () => write(gzipSync(archives.packFiles(ociFiles())))],
];

test.each(forms)('an image is read from a %s', async (_, make) => {
  const path = await make();
  const image = await openArchive(path);
  expect(image.config).toEqual(seen);
  expect(image).toMatchObject({ os: 'linux', architecture: archives.thisArchitecture });
  expect(image.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(image.layers.map(({ diffId }) => diffId)).toEqual(layers.map(archives.sha256));
  await image.close();
  expect(await contents(path)).toEqual(['a 644 2', 'b 644 1']);
});

test('a layer that docker save stored once, and links to, is found', async () => {
  const files = archives.dockerFiles({ layers: [layers[0]!] });
  const name = Object.keys(files).find((each) => each.endsWith('layer.tar'))!;
  const members = Object.entries(files).map(([each, content]) =>
    each === name ? { name, type: '2', link: '../shared/layer.tar' } : { name: each, content },
  );
  const path = await write(archives.tar(...members, { name: 'shared/layer.tar', content: layers[0]! }));
  expect(await contents(path)).toEqual(['a 644 1', 'b 644 1']);
});

test('a link in the archive reaches nothing on this machine', async () => {
  const path = await write(archives.tar({ name: 'manifest.json', type: '2', link: '/etc/passwd' }));
  expect(await refusal(path)).toMatchObject({ code: 'ERR_IMAGE' });
});

test('nothing is left of a compressed archive, nor a descriptor, after it was closed or refused', async () => {
  const temporary = await temporaryDirectory();
  const good = await write(gzipSync(archives.packFiles(ociFiles())));
  const bad = await write(gzipSync(archives.tar({ name: 'x' })));
  const before = fs.readdirSync('/proc/self/fd').length;
  await (await openArchive(good, { temporary })).close();
  await refusal(bad, { temporary });
  expect(fs.readdirSync(temporary)).toEqual([]);
  expect(fs.readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
});

test.each<[string, () => Buffer | string, RegExp]>([
  ['empty', () => '', /it is empty/],
  ['text', () => 'hello\n'.repeat(200), /not a tar archive/],
  ['short text', () => 'hello', /not a tar archive/],
  ['two bytes', () => 'hi', /not a tar archive/],
  ['cut', () => archives.packFiles(ociFiles()).subarray(0, 3000), /truncated/],
  ['gzip, and cut', () => gzipSync(archives.packFiles(ociFiles())).subarray(0, 400), /compressed data is truncated/],
  ['gzip of text', () => gzipSync('hello'), /not a tar archive/],
  ['without a manifest', () => archives.tar({ name: 'x' }), /neither "index.json"/],
  ['with two manifests', () => archives.tar({ name: 'manifest.json' }, { name: './manifest.json' }), /more than once/],
  ['with a manifest that is not JSON', () => archives.packFiles({ 'manifest.json': '[{' }), /is not JSON/],
  ['with a manifest of no images', () => archives.packFiles({ 'manifest.json': '[]' }), /no image in it/],
  ['with a huge manifest', () => archives.packFiles({ 'manifest.json': ' '.repeat(5e6) }), /limit is 4194304/],
])('a file that is %s is refused, with its name', async (_, make, reason) => {
  const path = await write(make());
  const error = await refusal(path);
  expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason), hint: expect.any(String) });
  expect(error.message).toContain(path);
});

test('a file that is not there is not found, and one in a format Node cannot read is not supported', async () => {
  expect(await refusal('/nowhere/image.tar')).toMatchObject({ code: 'ERR_NOT_FOUND' });
  expect(await refusal(await write('BZh91AY&SY'))).toMatchObject({ code: 'ERR_UNSUPPORTED' });
});

test('a root file system is told from an image', async () => {
  const path = await write(archives.tar({ name: './etc/passwd' }, { name: './usr/' }, { name: './bin/' }));
  expect((await refusal(path)).hint).toContain('rootfs');
});

test('of several images the one that is named is taken; without a name they are listed', async () => {
  const other = { layers: [archives.tar({ name: 'other' })] };
  const first = archives.dockerFiles(parts, ['a:1', 'docker.io/library/a:latest']);
  const second = archives.dockerFiles(other, ['b:1']);
  const both = [first, second].flatMap((files) => JSON.parse(String(files['manifest.json'])));
  const path = await write(archives.packFiles({ ...first, ...second, 'manifest.json': JSON.stringify(both) }));
  expect(await contents(path, { reference: 'b:1' })).toEqual(['other 644 ']);
  expect(await contents(path, { reference: 'a' })).toEqual(['a 644 2', 'b 644 1']);
  expect(await refusal(path)).toMatchObject({ code: 'ERR_IMAGE', hint: expect.stringMatching(/a:1.*b:1/) });
  expect(await refusal(path, { reference: 'c' })).toMatchObject({ hint: expect.stringMatching(/a:1.*b:1/) });
});

test('an OCI layout has its images by tag, one image may have two', async () => {
  const one = archives.ociImage(parts);
  const two = archives.ociImage({ layers: [archives.tar({ name: 'other' })] });
  const tagged = ({ descriptor }: archives.OciImage, tag: string) => ({
    ...descriptor,
    annotations: { 'org.opencontainers.image.ref.name': tag },
  });
  const twice = archives.ociFiles([tagged(one, 'v1'), tagged(one, 'latest')], one.files);
  expect(await contents(await writeDirectory(twice))).toHaveLength(2);
  const both = archives.ociFiles([tagged(one, 'v1'), tagged(two, 'v2')], one.files, two.files);
  const path = await writeDirectory(both);
  expect(await contents(path, { reference: 'v2' })).toEqual(['other 644 ']);
  expect(await refusal(path)).toMatchObject({ hint: expect.stringMatching(/v1, v2/) });
});

test('of several platforms this one is taken; without it, those that there are are listed', async () => {
  const image = archives.ociImage(parts);
  const here = { ...image.descriptor, platform: { os: 'linux', architecture: archives.thisArchitecture } };
  const there = { ...image.descriptor, platform: { os: 'linux', architecture: 's390x' } };
  const attestation = { ...image.descriptor, platform: { os: 'unknown', architecture: 'unknown' } };
  const nested = archives.ociIndex([there, here, attestation]);
  const good = archives.ociFiles([nested.descriptor], nested.files, image.files);
  expect(await contents(await write(archives.packFiles(good)))).toHaveLength(2);
  const foreign = archives.ociFiles([there, attestation], image.files);
  const error = await refusal(await write(archives.packFiles(foreign)));
  expect(error).toMatchObject({ code: 'ERR_IMAGE', hint: 'It is for linux/s390x.' });
});

test('a single image for another platform is refused, unless it is asked for', async () => {
  const path = await write(archives.packFiles(archives.dockerFiles({ ...parts, architecture: 's390x' })));
  expect(await refusal(path)).toMatchObject({ hint: 'It is for linux/s390x.' });
  expect(await contents(path, { platform: { os: 'linux', architecture: 's390x' } })).toHaveLength(2);
});

test('an index that leads to an index without end is refused', async () => {
  let index = archives.ociIndex([archives.ociImage(parts).descriptor]);
  const files = { ...index.files };
  for (let i = 0; i < 6; i++) {
    index = archives.ociIndex([index.descriptor]);
    Object.assign(files, index.files);
  }
  const path = await write(archives.packFiles(archives.ociFiles([index.descriptor], files)));
  expect(await refusal(path)).toMatchObject({ message: expect.stringMatching(/more than 4 deep/) });
});

const foreignLayer = 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip';

test.each<[string, archives.OciLies, RegExp]>([
  ['manifests beside its layers (CVE-2021-41190)', { manifest: { manifests: [] } }, /both "manifests" and "layers"/],
  [
    'the media type of something else',
    { manifest: { mediaType: 'application/x' } },
    /says that it is "application\/x"/,
  ],
  ['a schema version of 1', { manifest: { schemaVersion: 1 } }, /schemaVersion should be 2/],
  ['a layer of unknown type', { layerType: 'application/zip' }, /unknown media type "application\/zip"/],
  ['a foreign layer', { layerType: foreignLayer }, /a layer that is not in it/],
  ['a configuration of unknown type', { configType: 'application/vnd.cncf.helm.config.v1+json' }, /unknown media type/],
  ['too few layers', { manifest: { layers: [] } }, /0 layers, but its configuration speaks of 2/],
  ['more layers than can be', { manifest: { layers: Array(129).fill({}) } }, /limit is 128/],
])('a manifest with %s is refused', async (_, lies, reason) => {
  const error = await refusal(await write(archives.packFiles(ociFiles(lies))));
  expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
});

/** The name of the nth blob: the configuration, the layers, the manifest. */
function nthBlob(files: archives.Files, n: number): string {
  return Object.keys(files).filter((name) => name.startsWith('blobs/'))[n]!;
}

test.each<[string, number]>([
  ['configuration', 0],
  ['layer', 1],
  ['manifest', 3],
])('a %s with the wrong digest, with the wrong size, or missing is refused', async (_, n) => {
  const files = ociFiles();
  const name = nthBlob(files, n);
  const original = Buffer.from(files[name]!);
  const altered = Buffer.from(original);
  altered[altered.length - 3]! ^= 1;
  const attempt = async (change: archives.Files) => refusal(await write(archives.packFiles({ ...files, ...change })));
  expect(await attempt({ [name]: altered })).toMatchObject({ code: 'ERR_IMAGE' });
  const longer = await attempt({ [name]: Buffer.concat([original, Buffer.from(' ')]) });
  expect(longer).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(/and should have/) });
  const { [name]: _gone, ...rest } = files;
  expect(await refusal(await write(archives.packFiles(rest)))).toMatchObject({
    code: 'ERR_IMAGE',
    message: expect.stringMatching(/is not in it/),
  });
});

test('a layer whose bytes were exchanged for others of the same content is refused by its digest', async () => {
  const files = ociFiles({}, { layers: [layers[0]!] });
  const name = nthBlob(files, 1);
  const stored = Buffer.from(files[name]!);
  // The operating system in gzip's header: it decompresses to the same.
  stored[9]! ^= 0xff;
  const error = await refusal(await write(archives.packFiles({ ...files, [name]: stored })));
  expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(/wrong digest/) });
});

test('in a docker-archive the configuration is checked by its name, and a layer by the configuration', async () => {
  const files = archives.dockerFiles(parts);
  const [configName] = Object.keys(files).filter((name) => /^[0-9a-f]{64}\.json$/.test(name));
  const [layerName] = Object.keys(files).filter((name) => name.endsWith('layer.tar'));
  const changedConfig = { ...files, [configName!]: `${files[configName!]} ` };
  expect(await refusal(await write(archives.packFiles(changedConfig)))).toMatchObject({ message: /wrong digest/ });
  const changedLayer = { ...files, [layerName!]: archives.tar({ name: 'evil' }) };
  expect(await refusal(await write(archives.packFiles(changedLayer)))).toMatchObject({ message: /has the digest/ });
});

test.each<[string, unknown]>([
  ['no algorithm', 'a'.repeat(64)],
  ['too few digits', 'sha256:abc'],
  ['capitals', `sha256:${'A'.repeat(64)}`],
  ['a path', 'sha256:../../../../etc/passwd'],
  ['another algorithm', `md5:${'a'.repeat(32)}`],
  ['an inherited algorithm', `constructor:${'a'.repeat(64)}`],
  ['a number', 5],
])('a digest with %s is refused (CVE-2024-3727)', async (_, digest) => {
  const { files, descriptor } = archives.ociImage(parts);
  const path = await writeDirectory(archives.ociFiles([{ ...descriptor, digest }], files));
  expect(await refusal(path)).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(/is no digest/) });
});

test('a fifo in a layout directory is refused rather than waited for', async () => {
  const directory = await writeDirectory({ 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' });
  fs.mkdirSync(join(directory, 'index.json'));
  expect(await refusal(directory)).toMatchObject({ message: expect.stringMatching(/not a file/) });
});

test('a stream of a layer fails, and reads no other file, once the image is closed', async () => {
  const image = await openArchive(await write(archives.packFiles(archives.dockerFiles(parts))));
  const stream = image.layers[0]!.open();
  await image.close();
  await expect(stream.toArray()).rejects.toThrow();
});
