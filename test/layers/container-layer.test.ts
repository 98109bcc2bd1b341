import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest';
import type { Host } from '../../lib/host/host.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { createRuntime, ready } from '../../lib/index.ts';
import { type ContainerLayer, openContainerLayer } from '../../lib/layers/container-layer.ts';
import type { GraphDriver } from '../../lib/layers/drivers.ts';
import { makeRoot } from '../../lib/layers/root.ts';
import { createHost } from '../../lib/node/host.ts';
import { containerMaps } from '../../lib/plan/keeper.ts';
import type { Maps } from '../../lib/plan/plan.ts';
import { dockerFiles, layer, type Member, ociFiles, ociImage, packFiles, tar } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';
import { can, testIf } from '../support/requires.ts';

const isRoot = process.getuid?.() === 0;
const severalIds = isRoot || can('subuids') === true;

let directory: string;
let data: string;
let host: Host;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
  chmodSync(directory, 0o755);
  data = join(directory, 'runts');
  const real = createHost();
  host = { ...real, environment: { ...real.environment, dataDirectory: data } };
});
afterAll(async () => {
  await removeData(data);
  rmSync(directory, { recursive: true, force: true });
});

const commands = ['sh', 'rm', 'mv', 'mkdir', 'ln', 'chown', 'chmod', 'touch', 'mkfifo', 'dd', 'sleep', 'echo', 'rmdir'];
const lower: Member[] = [
  { name: 'bin/' },
  { name: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
  ...commands.map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' })),
  ...['proc/', 'sys/', 'dev/', 'etc/', 'gone/', 'again/', 'again/deep/'].map((name) => ({ name })),
  { name: 'etc/kept', content: 'kept' },
  { name: 'etc/written', content: 'before' },
  { name: 'etc/moded', content: 'mode' },
  { name: 'gone/a', content: 'a' },
  { name: 'again/old', content: 'old' },
  { name: 'again/deep/old', content: 'old' },
  ...(severalIds
    ? [
        { name: 'srv/', uid: 33, gid: 44 },
        { name: 'srv/page', uid: 33, gid: 44, mode: 0o600 },
      ]
    : []),
];
const upper: Member[] = [
  { name: 'opt/', mode: 0o711 },
  { name: 'opt/b', content: 'b' },
  { name: 'etc/kept', content: 'kept again' },
  { name: 'file', content: 'was a file' },
  { name: 'tree/' },
  { name: 'tree/leaf', content: 'leaf' },
];
const layers = [tar(...lower), tar(...upper)];

const script = `
  echo after > /etc/written
  chmod 600 /etc/moded
  rm -r /gone
  rm -r /again && mkdir /again && echo new > /again/new
  mkdir -p /made/deep && echo x > /made/deep/x && ln /made/deep/x /made/link && ln -s ../etc /made/away
  touch -d @1000000000 /made/deep
  mkfifo /made/fifo
  rm /file && mkdir /file && echo y > /file/y
  rm -r /tree && echo now a file > /tree
  dd if=/dev/zero of=/made/sparse bs=1 count=0 seek=100000 2> /dev/null
  ${severalIds ? 'chown 33:44 /made/link; echo private > /srv/own; chown 65:66 /srv/own; chmod 600 /srv/own; echo more > /srv/page' : ''}
  echo ready; sleep 600`;

const changed = [
  ...['C /again', 'D /again/deep', 'A /again/new', 'D /again/old'],
  ...['C /etc', 'C /etc/moded', 'C /etc/written', 'C /file', 'A /file/y', 'D /gone'],
  ...['A /made', 'A /made/away', 'A /made/deep', 'A /made/deep/x', 'A /made/fifo', 'A /made/link', 'A /made/sparse'],
  ...(severalIds ? ['C /srv', 'A /srv/own', 'C /srv/page'] : []),
  'C /tree',
];

/** A container that has run the script, and goes on. */
async function start(
  of: { image: string } | { rootfs: string; userns?: 'host' },
  driver?: GraphDriver,
): Promise<string> {
  const runtime = createRuntime({ root: data, state: join(directory, 'state'), driver });
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  const container = await runtime.createContainer({
    ...of,
    command: ['/bin/sh', '-c', script],
    ready: ready.log('ready'),
  });
  await container.start();
  return container.id;
}

const drivers = {
  async overlay(): Promise<ContainerLayer> {
    const archive = join(directory, 'image.tar');
    writeFileSync(archive, packFiles(dockerFiles({ layers })));
    return openContainerLayer(host, await start({ image: archive }));
  },
  async 'fuse-overlayfs'(): Promise<ContainerLayer> {
    const archive = join(directory, 'image.tar');
    writeFileSync(archive, packFiles(dockerFiles({ layers })));
    return openContainerLayer(host, await start({ image: archive }, 'fuse-overlayfs'));
  },
  async copy(): Promise<ContainerLayer> {
    const id = 'copied';
    const facts = await probeFacts(host);
    mkdirSync(join(data, 'containers', id), { recursive: true, mode: 0o700 });
    const image = { digest: 'sha256:0', layers: layers.map((bytes) => layer(bytes)) };
    const maps = containerMaps(undefined, facts);
    const place = { host, facts, id, image, maps, mappable: true, driver: 'copy' } as const;
    const { path } = await makeRoot(place, {});
    onTestFinished(() => removeData(join(data, 'containers', id)));
    await start({ rootfs: path, ...(isRoot && { userns: 'host' }) });
    return openContainerLayer(host, id);
  },
};

async function bytesOf(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What an archive has, as GNU tar tells it: type, mode, owner, name, target. */
const listing = (archive: Buffer): string[] =>
  execFileSync('tar', ['--numeric-owner', '--full-time', '-tvf', '-'], { input: archive, encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.replace(/ +/g, ' '));

describe.each(Object.keys(drivers) as (keyof typeof drivers)[])('what a container has changed, with %s', (driver) => {
  const needed = driver === 'fuse-overlayfs' ? (['fuse'] as const) : [];
  const test = testIf('userns', 'busybox', ...needed);
  const testUmoci = testIf('root', 'busybox', 'umoci', ...needed);

  test('is told as docker diff tells it, and packed as a layer that says the same', async () => {
    const own = await drivers[driver]();
    const changes = await own.changes();
    expect(changes.map(({ kind, path }) => `${kind} ${path}`)).toEqual(changed);
    const diff = await bytesOf(own.diff());
    const names = listing(diff).map((line) => line.split(' ').slice(5).join(' '));
    expect(names).toEqual(expect.arrayContaining(['.wh.gone', 'made/deep/x link to made/link', 'made/away -> ../etc']));
    const size = ['after\n', 'mode', 'new\n', 'x\n', 'y\n', 'now a file\n', 'private\n', 'more\n'].join('').length;
    expect(await own.size()).toBe(100_000 + size - (severalIds ? 0 : 'private\nmore\n'.length));
    // Again, byte for byte.
    expect((await bytesOf(own.diff())).equals(diff)).toBe(true);
    // On top of the image it is the tree that the container shows.
    const shown = listing(await bytesOf(own.export()));
    expect(shown.filter((line) => / (gone|again\/old)/.test(line))).toEqual([]);
    const [expected, merged] = ['export', 'merged'].map((name) => join(directory, `${driver}-${name}`)) as [
      string,
      string,
    ];
    for (const each of [expected, merged]) mkdirSync(each);
    execFileSync('tar', ['--delay-directory-restore', '-xpf', '-', '-C', expected], {
      input: await bytesOf(own.export()),
    });
    const { unpackLayers } = await import('../support/reference/unpack.ts');
    await unpackLayers({ layers: [...layers, diff].map((bytes) => layer(bytes)) }, merged, { asRoot: isRoot });
    // The unpacker that runs here makes no fifos.
    expect(treeOf(merged)).toEqual(treeOf(expected).filter((line) => !/ p \d/.test(line)));
  });

  test('is private where the container made it so, and has the owners that the container sees', async (context) => {
    if (!severalIds) context.skip();
    const own = await drivers[driver]();
    const found = listing(await bytesOf(own.diff()));
    expect(found.find((line) => line.includes('srv/own'))).toMatch(/^-rw------- 65\/66 8 /);
    expect(found.find((line) => line.endsWith('made/link'))).toMatch(/^-rw-r--r-- 33\/44 2 /);
    expect(found.find((line) => line.includes('made/deep/') && line.startsWith('d'))).toMatch(/ 2001-09-09 01:46:40 /);
  });

  testUmoci('is to umoci what it is to us', async () => {
    const own = await drivers[driver]();
    const image = ociImage({ layers: [...layers, await bytesOf(own.diff())] });
    const layout = join(directory, `layout-${driver}`);
    const named = { ...image.descriptor, annotations: { 'org.opencontainers.image.ref.name': 'x' } };
    for (const [name, content] of Object.entries(ociFiles([named], image.files))) {
      mkdirSync(join(layout, name, '..'), { recursive: true });
      writeFileSync(join(layout, name), content);
    }
    const bundle = join(directory, `bundle-${driver}`);
    execFileSync('umoci', ['unpack', '--image', `${layout}:x`, bundle], { stdio: 'pipe' });
    const expected = join(directory, `exported-${driver}`);
    mkdirSync(expected);
    execFileSync('tar', ['--delay-directory-restore', '-xpf', '-', '-C', expected], {
      input: await bytesOf(own.export()),
    });
    expect(treeOf(join(bundle, 'rootfs'))).toEqual(treeOf(expected));
  });
});

/** Names, types, modes, owners, sizes, times, targets and contents; the root itself is nobody's change. */
function treeOf(path: string): string[] {
  const format = '%P %y %m %U:%G %s %Ts %l %n\\n';
  const lines = execFileSync('find', ['.', '-mindepth', '1', '-printf', format], { cwd: path, encoding: 'utf8' })
    .split('\n')
    .map((line) => line.replace(/^(\S* d \S+ \S+) \S+ (\S+) .*/, '$1 $2'));
  const files = execFileSync('find', ['.', '-type', 'f', '-print0'], { cwd: path, encoding: 'utf8' }).split('\0');
  const digests = files
    .filter((name) => name !== '')
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(path, name)))
          .digest('hex')}`,
    );
  return [...lines, ...digests].sort();
}

/** Of a user who has no id but their own, and is root of the container with it. */
const single = (id: number | undefined) => [{ container: 0, host: id ?? 0, size: 1 }];

testIf('userns').each(['overlay', 'copy'] as const)(
  'owners that a single id cannot give are recorded, and in the archives again: %s',
  async (driver) => {
    const facts = { ...(await probeFacts(host)), privileged: false };
    const maps: Maps = {
      ...{ uids: single(process.getuid?.()), gids: single(process.getgid?.()), setgroups: 'deny' },
      ...{ by: 'write', origin: 'test' },
    };
    const owned = (uid: number, gid: number) => ({ uid, gid });
    const below = tar(
      { name: 'srv/', ...owned(33, 44), mode: 0o750 },
      { name: 'srv/page', content: 'page', ...owned(33, 55) },
      { name: 'srv/hidden', content: 'x', ...owned(1, 1) },
      { name: 'srv/again', content: 'below', ...owned(2, 2) },
      { name: 'plain', content: 'root' },
    );
    const above = tar({ name: 'srv/.wh.hidden' }, { name: 'srv/again', content: 'above', ...owned(77, 88) });
    const id = `single-${driver}`;
    mkdirSync(join(data, 'containers', id), { recursive: true, mode: 0o700 });
    const image = { digest: 'sha256:0', layers: [below, above].map((bytes) => layer(bytes)) };
    const { path } = await makeRoot({ host, facts, id, image, maps, mappable: true, driver }, {});
    onTestFinished(() => removeData(join(data, 'containers', id)));
    const own = await openContainerLayer(host, id);
    expect(await own.changes()).toEqual([]);
    const owners = async (archive: Readable) =>
      listing(await bytesOf(archive)).map((line) => [line.split(' ')[1], line.split(' ').at(-1)].join(' '));
    expect(await owners(own.export())).toEqual([...['0/0 plain', '33/44 srv/', '77/88 srv/again', '33/55 srv/page']]);
    // What the container makes is root's; what it writes to stays whose it was.
    mkdirSync(join(path, 'srv'), { recursive: true });
    chmodSync(join(path, 'srv'), 0o750);
    for (const name of ['page', 'new']) writeFileSync(join(path, 'srv', name), 'changed');
    expect(await owners(own.diff())).toEqual(['33/44 srv/', '0/0 srv/new', '33/55 srv/page']);
  },
);

/** A container whose root file system an ordinary user has made, of a single id. */
async function rootOfUser(id: string, driver: GraphDriver, ...archives: readonly Buffer[]) {
  const facts = { ...(await probeFacts(host)), privileged: false };
  const maps: Maps = {
    ...{ uids: single(process.getuid?.()), gids: single(process.getgid?.()), setgroups: 'deny' },
    ...{ by: 'write', origin: 'test' },
  };
  mkdirSync(join(data, 'containers', id), { recursive: true, mode: 0o700 });
  onTestFinished(() => removeData(join(data, 'containers', id)));
  const image = { digest: 'sha256:0', layers: archives.map((bytes) => layer(bytes)) };
  const { path } = await makeRoot({ host, facts, id, image, maps, mappable: true, driver }, {});
  return { path, own: await openContainerLayer(host, id) };
}

const device = (name: string, type: '3' | '4', major: number, minor: number): Member => ({
  ...{ name, type, major, minor, mode: 0o660, gid: 6 },
});

/** Type, mode, owner, numbers or size, and name. */
const told = async (archive: Readable): Promise<string[]> =>
  listing(await bytesOf(archive)).map((line) => line.replace(/ \d{4}-\d\d-\d\d \S+/, ''));

testIf('userns').each(['overlay', 'copy'] as const)(
  'devices that could not be made are in the archives again, with their numbers: %s',
  async (driver) => {
    const below = tar(
      { name: 'dev/' },
      { ...device('dev/null', '3', 1, 3), pax: { 'SCHILY.xattr.user.note': 'x' } },
      { name: 'dev/same', type: '1', link: 'dev/null' },
      device('dev/disk', '4', 8, 17),
      device('dev/gone', '3', 5, 0),
      device('dev/file', '3', 5, 1),
      device('implied/tty', '3', 4, 64),
      device('closed/tty', '3', 4, 65),
      device('twice', '3', 1, 8),
      { name: 'twice', content: 'a file' },
      { name: 'other', content: 'was a file' },
      { name: 'tree/leaf', content: 'x' },
    );
    const above = tar(
      { name: 'dev/.wh.gone' },
      { name: 'dev/file', content: 'now a file' },
      { name: 'closed/' },
      { name: 'closed/.wh..wh..opq' },
      device('other', '3', 1, 9),
      device('tree', '4', 7, 0),
    );
    const { path, own } = await rootOfUser(`devices-${driver}`, driver, below, above);
    expect(await own.changes()).toEqual([]);
    const image = [
      ...['drwxr-xr-x 0/0 0 closed/', 'drwxr-xr-x 0/0 0 dev/', 'drwxr-xr-x 0/0 0 implied/'],
      ...['crw-rw---- 0/6 1,9 other', 'brw-rw---- 0/6 7,0 tree', '-rw-r--r-- 0/0 6 twice'],
      ...['brw-rw---- 0/6 8,17 dev/disk', '-rw-r--r-- 0/0 10 dev/file', 'crw-rw---- 0/6 1,3 dev/null'],
      ...['crw-rw---- 0/6 1,3 dev/same', 'crw-rw---- 0/6 4,64 implied/tty'],
    ];
    expect(await told(own.export())).toEqual(image);
    expect((await bytesOf(own.export())).includes('SCHILY.xattr.user.note=x')).toBe(true);
    // Nothing of a lower layer is seen where one of them would stand.
    if (driver === 'overlay') {
      const { layers } = JSON.parse(readFileSync(join(path, '..', 'container.json'), 'utf8')) as { layers: string[] };
      const upper = join(data, 'layers', layers[1]!, 'diff');
      for (const name of ['other', 'tree']) expect(statSync(join(upper, name)).rdev).toBe(0);
      for (const name of ['other', 'tree']) expect(statSync(join(upper, name)).isCharacterDevice()).toBe(true);
    } else expect(readdirSync(path).sort()).toEqual(['closed', 'dev', 'implied', 'twice']);
    // What the container puts under the name counts.
    mkdirSync(join(path, 'dev'), { recursive: true });
    chmodSync(join(path, 'dev'), 0o755);
    writeFileSync(join(path, 'dev/null'), 'mine');
    const mine = '-rw-r--r-- 0/0 4 dev/null';
    expect(await told(own.diff())).toEqual(['drwxr-xr-x 0/0 0 dev/', mine]);
    expect(await told(own.export())).toEqual(image.map((line) => (line.endsWith('dev/null') ? mine : line)));
  },
);

testIf('userns')('a layer of more devices than any image has is refused', async () => {
  const many = Array.from({ length: 65_537 }, (_, i) => device(`d${i}`, '3', 1, 3));
  await expect(rootOfUser('many', 'copy', tar(...many))).rejects.toMatchObject({
    code: 'ERR_IMAGE',
    message: expect.stringContaining('more than 65536 devices'),
  });
});

testIf('userns')('a container that is not there is said not to be', async () => {
  await expect(openContainerLayer(host, 'none')).rejects.toMatchObject({ code: 'ERR_NOT_FOUND' });
});
