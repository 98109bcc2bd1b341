// CVE-2021-29136, CVE-2021-32760, CVE-2021-41190, CVE-2024-3727, CVE-2025-47290: layers and documents of an image that want more
// than to be unpacked.
import fs from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect } from 'vitest';
import { createRuntime } from '../../lib/index.ts';
import {
  dockerFiles,
  type Files,
  type Member,
  ociFiles,
  ociImage,
  packFiles,
  sha256,
  tar,
} from '../support/archives.ts';
import { attempted, canary, place } from '../support/attack.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');

const base = tar(
  { name: 'bin/' },
  { name: 'bin/busybox', content: fs.readFileSync('/bin/busybox'), mode: 0o755 },
  ...['sh', 'cat', 'ls'].map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
  { name: 'd/' },
);
const up = '../'.repeat(20);
const link = (name: string, to: string): Member => ({ name, type: '2', link: to });
const hard = (name: string, to: string): Member => ({ name, type: '1', link: to });

/** Layers over the first one, which know where the canary is. */
const layers: Readonly<Record<string, (host: string) => readonly (readonly Member[])[]>> = {
  'a file through a link': (host) => [[link('l', host), { name: 'l/new', content: 'x' }]],
  'a file through a link of a layer below': (host) => [[link('l', host)], [{ name: 'l/secret', content: 'x' }]],
  'a file through a link that climbs': (host) => [[link('l', up + host.slice(1))], [{ name: 'l/new', content: 'x' }]],
  'a file through links to links': (host) => [
    [link('a', host), link('b', 'a'), link('c', '../b')],
    [{ name: 'c/new' }],
  ],
  'a mode through a link': (host) => [
    [link('l', host)],
    [
      { name: 'l/', mode: 0o700 },
      { name: 'l/inner/', mode: 0o700 },
    ],
  ],
  'a file over a link to a file': (host) => [[link('l', `${host}/secret`)], [{ name: 'l', content: 'x', mode: 0o600 }]],
  'a directory that becomes a link': (host) => [[{ name: 'd/' }, link('d', host), { name: 'd/new', content: 'x' }]],
  'a link that becomes a directory': (host) => [[link('l', host), { name: 'l/' }, { name: 'l/new', content: 'x' }]],
  'a hard link to the host': (host) => [[hard('h', `${host}/secret`)], [{ name: 'h', content: 'x' }]],
  'a hard link that climbs': (host) => [[hard('h', `${up}${host.slice(1)}/secret`)]],
  'a hard link through a link': (host) => [[link('l', host)], [hard('h', 'l/secret')], [{ name: 'h', content: 'x' }]],
  'a hard link to a link': (host) => [[link('l', `${host}/secret`)], [hard('h', 'l')], [{ name: 'h', content: 'x' }]],
  'a hard link by pax': (host) => [[{ name: 'h', type: '1', link: 'x', pax: { linkpath: `${host}/secret` } }]],
  'a whiteout through a link': (host) => [[link('l', host)], [{ name: 'l/.wh.secret' }, { name: 'l/.wh.inner' }]],
  'an opaque directory through a link': (host) => [[link('l', host)], [{ name: 'l/.wh..wh..opq' }]],
  'a whiteout that climbs': (host) => [[{ name: `d/.wh.${up}${host.slice(1)}/secret` }]],
  'a whiteout of what is above': () => [[{ name: 'd/.wh...' }]],
  'a whiteout that names nothing': () => [[{ name: 'd/.wh.' }]],
  'the root as a link': (host) => [[link('./', host), { name: 'new', content: 'x' }]],
  'the root as a link, without a slash': (host) => [[link('.', host)], [{ name: 'new', content: 'x' }]],
  'an absolute name': (host) => [[{ name: `${host}/new`, content: 'x' }]],
  'a name that climbs': (host) => [[{ name: `${up}${host.slice(1)}/new`, content: 'x' }]],
  'a name that climbs by pax': (host) => [[{ name: 'x', pax: { path: `${up}${host.slice(1)}/new` }, content: 'x' }]],
  "a name that climbs by GNU's header": (host) => [
    [
      { name: '././@LongLink', type: 'L', content: `${up}${host.slice(1)}/new\0` },
      { name: 'x', content: 'x' },
    ],
  ],
  'a link by way of /proc': (host) => [[link('l', `/proc/self/root${host}`)], [{ name: 'l/new', content: 'x' }]],
  'a size that is not true': () => [[{ name: 'x', content: 'x', size: 2 ** 40 }]],
  'a negative size': () => [[{ name: 'x', pax: { size: '-512' }, content: 'x' }]],
  'a fifo, where the accounts are': () => [[{ name: 'etc/' }, { name: 'etc/passwd', type: '6' }]],
};

const script = 'cat /l/secret /h /l /new /d/secret 2> /dev/null; echo ran';

/** Runs an image, and looks at what that did. */
async function consequences(path: string, command: readonly string[] = ['/bin/sh', '-c', script]) {
  await using runtime = createRuntime({ root: place('data') });
  return await attempted(async () => (await runtime.run(path, command, { reject: false, timeout: 10_000 })).stdout);
}

function write(files: Files): string {
  const path = join(place('image'), 'image.tar');
  fs.writeFileSync(path, packFiles(files));
  return path;
}

for (const [what, make] of Object.entries(layers)) {
  test(`${what} in a layer does not reach the host`, async () => {
    const host = canary();
    const all = [base, ...make(host.path).map((members) => tar(...members))];
    const { output, refused, why } = await consequences(
      write(dockerFiles({ layers: all, config: { Env: ['PATH=/bin'] } })),
    );
    expect(output).not.toContain('secret of the host');
    expect(output.endsWith('ran\n') ? 'ran' : refused, why).toMatch(/^(ran|ERR_IMAGE)$/);
    expect(host.changes()).toEqual([]);
    expect(fs.readdirSync(host.path).sort()).toEqual(['inner', 'passwd', 'secret']);
  });
}

test('volumes that an image declares at links make and change nothing where those lead', async () => {
  const host = canary();
  const links = tar(link('l', host.path), link('m', `${host.path}/inner`), link('n', `${up}${host.path.slice(1)}/new`));
  const config = { Env: ['PATH=/bin'], Volumes: { '/l': {}, '/l/made': {}, '/m/a/b': {}, '/n': {}, '/../x': {} } };
  const { output, refused, why } = await consequences(write(dockerFiles({ layers: [base, links], config })));
  expect(output).not.toContain('secret of the host');
  expect(output.endsWith('ran\n') ? 'ran' : refused, why).toMatch(/^(ran|ERR_IMAGE)$/);
  expect(host.changes()).toEqual([]);
  expect(fs.readdirSync(host.path).sort()).toEqual(['inner', 'passwd', 'secret']);
});

test('a layer that is compressed again and again is not unpacked, whatever it would come to', async () => {
  const many = Array.from({ length: 4 }).reduce<Buffer>((bytes) => gzipSync(bytes), Buffer.alloc(64 * 1024 ** 2));
  const { output, refused } = await consequences(write(dockerFiles({ layers: [base, many] })));
  expect({ output, refused }).toEqual({ output: '', refused: 'ERR_IMAGE' });
});

test('devices of a layer open nothing', async () => {
  const nodes = [
    { name: 'mem', type: '3' },
    { name: 'sda', type: '4' },
  ];
  const path = write(dockerFiles({ layers: [base, tar(...nodes)], config: { Env: ['PATH=/bin'] } }));
  const { output, refused } = await consequences(path, ['/bin/sh', '-c', 'cat < /mem; cat < /sda; echo ran']);
  expect(refused ?? output).toMatch(/^(ERR_IMAGE|ran\n)$/);
});

// ---- documents ---------------------------------------------------------------------------------------------------------

const type = 'application/vnd.oci.image';

/** What lies about itself, as OCI layouts. */
const lies: Readonly<Record<string, (host: string) => Files>> = {
  'a manifest that is an index as well': () => {
    const { files, descriptor } = ociImage({ layers: [base] }, { manifest: { manifests: [] } });
    return ociFiles([descriptor], files);
  },
  'a manifest that says it is an index': () => {
    const { files, descriptor } = ociImage({ layers: [base] }, { manifest: { mediaType: `${type}.index.v1+json` } });
    return ociFiles([descriptor], files);
  },
  'a descriptor of another type than what it leads to': () => {
    const { files, descriptor } = ociImage({ layers: [base] });
    return ociFiles([{ ...descriptor, mediaType: `${type}.index.v1+json` }], files);
  },
  'a digest that climbs': (host) => {
    const { files, descriptor } = ociImage({ layers: [base] });
    return ociFiles([{ ...descriptor, digest: `sha256:${up}${host.slice(1)}/secret` }], files);
  },
  'a digest of no algorithm that we know': () => {
    const { files, descriptor } = ociImage({ layers: [base] });
    return ociFiles([{ ...descriptor, digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' }], files);
  },
  'a digest in capitals': () => {
    const { files, descriptor } = ociImage({ layers: [base] });
    return ociFiles([{ ...descriptor, digest: String(descriptor['digest']).toUpperCase() }], files);
  },
  'a size that is not true': () => {
    const { files, descriptor } = ociImage({ layers: [base] });
    return ociFiles([{ ...descriptor, size: 10 }], files);
  },
  'a manifest whose bytes are others': () => {
    const { files, descriptor } = ociImage({ layers: [base] });
    const name = `blobs/${String(descriptor['digest']).replace(':', '/')}`;
    return ociFiles([descriptor], { ...files, [name]: `${files[name]} ` });
  },
  'a layer that the configuration does not know': () => {
    const { files, descriptor } = ociImage(
      { layers: [base] },
      { manifest: { layers: [{ mediaType: `${type}.layer.v1.tar`, digest: sha256('x'), size: 1 }] } },
    );
    return ociFiles([descriptor], { ...files, [`blobs/${sha256('x').replace(':', '/')}`]: 'x' });
  },
};

for (const [what, make] of Object.entries(lies)) {
  test(`${what} is refused`, async () => {
    const host = canary();
    const { output, refused } = await consequences(write(make(host.path)));
    expect({ output, refused }).toEqual({ output: '', refused: 'ERR_IMAGE' });
    expect(host.changes()).toEqual([]);
  });
}
