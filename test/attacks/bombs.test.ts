// CVE-2022-31030 and its kind: little that becomes much. Compressed data that is nothing but zeros is given up early, whichever
// way it comes, and nothing of it stays.
import fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { createRuntime, type Runtime } from '../../lib/index.ts';
import { uncompressed } from '../../lib/layers/decompress.ts';
import { answer, between } from '../images/registry/between.ts';
import { blob, configOf, dockerFiles, type Files, packFiles, sha256, tarMember } from '../support/archives.ts';
import { place } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
const mebibyte = 1024 ** 2;
const zeros = 4096;

/** 4 GiB of zeros in a tar archive, as 4 MiB: members of gzip are as good as one. */
const bomb = Buffer.concat([
  gzipSync(tarMember({ name: 'zeros', size: zeros * mebibyte }).subarray(0, 512)),
  ...Array<Buffer>(zeros).fill(gzipSync(Buffer.alloc(mebibyte))),
  gzipSync(Buffer.alloc(1024)),
]);

const type = 'application/vnd.oci.image';

/** An image whose only layer it is, as a registry has it. */
function bombImage(): { readonly files: Files; readonly manifest: string } {
  const files: Files = {};
  const config = JSON.stringify(configOf({ layers: [bomb] }));
  const manifest = {
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { mediaType: `${type}.config.v1+json`, ...blob(files, config) },
    layers: [{ mediaType: `${type}.layer.v1.tar+gzip`, ...blob(files, bomb) }],
  };
  return { files, manifest: JSON.stringify(manifest) };
}

async function registry(): Promise<string> {
  const { files, manifest } = bombImage();
  const { host } = await between(undefined, ({ url = '', method }, response) => {
    const [, digest] = /\/blobs\/sha256:(.*)$/.exec(url) ?? [];
    const content = digest === undefined ? undefined : files[`blobs/sha256/${digest}`];
    if (url === '/v2/') answer(response, 200);
    else if (url.includes('/manifests/')) {
      const headers = { 'content-type': `${type}.manifest.v1+json`, 'docker-content-digest': sha256(manifest) };
      answer(response, 200, method === 'HEAD' ? '' : manifest, headers);
    } else if (content === undefined) answer(response, 404);
    else response.writeHead(200, { 'content-length': String(content.length) }).end(content);
  });
  return host;
}

function file(bytes: Buffer): string {
  const path = join(place('bomb'), 'image.tar');
  fs.writeFileSync(path, bytes);
  return path;
}

/** Bytes of all files below. */
const bytesBelow = (directory: string): number =>
  fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + fs.statSync(join(entry.parentPath, entry.name)).size, 0);

const ways: Readonly<Record<string, (runtime: Runtime) => Promise<unknown>>> = {
  import: ({ images }) => images.import(file(bomb)),
  'load of an archive with it as a layer': ({ images }) =>
    images.load(file(packFiles(dockerFiles({ layers: [bomb] })))),
  'load of it as an archive': ({ images }) => images.load(file(bomb)),
  'run of an archive': (runtime) => runtime.run(file(packFiles(dockerFiles({ layers: [bomb] }))), ['true']),
  pull: async ({ images }) => images.pull(`${await registry()}/bomb:1`),
};

for (const [what, attempt] of Object.entries(ways)) {
  test(`a bomb of zeros is given up: ${what}`, { timeout: 180_000 }, async () => {
    const data = place('data');
    await using runtime = createRuntime({ root: data });
    const before = process.memoryUsage().rss;
    await expect(attempt(runtime)).rejects.toMatchObject({
      code: 'ERR_IMAGE',
      message: expect.stringContaining('200 times'),
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(500 * mebibyte);
    // The layer as it came may stay, for who goes on with a download or a load.
    expect(bytesBelow(data)).toBeLessThan(16 * mebibyte);
  });
}

const plain = Buffer.from('some words of a text that is long. '.repeat(30_000));

async function bytesOf(ratio: number): Promise<number> {
  let bytes = 0;
  const stream = Readable.from([gzipSync(plain)]);
  for await (const chunk of uncompressed(stream, undefined, { bytes: 1000, ratio })) bytes += chunk.length;
  return bytes;
}

test('what is compressed beyond reason is refused, and what is compressed well is read', async () => {
  await expect(bytesOf(10)).rejects.toThrow('more than 1000 bytes and 10 times');
  expect(await bytesOf(1000)).toBe(plain.length);
});
