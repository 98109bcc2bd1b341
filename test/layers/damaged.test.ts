import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import { probeFacts } from '../../lib/host/probe.ts';
import { RuntsError } from '../../lib/index.ts';
import { readContainerFile, readCopyDevices } from '../../lib/layers/container-file.ts';
import { layersInUse } from '../../lib/layers/in-use.ts';
import { readLayerFile } from '../../lib/layers/layer-file.ts';
import { LayerStore } from '../../lib/layers/store.ts';
import { createHost } from '../../lib/node/host.ts';
import { ownerMaps } from '../../lib/plan/keeper.ts';
import { readLimits } from '../../lib/volumes/limits.ts';
import { readRecord } from '../../lib/volumes/record.ts';
import { findUses } from '../../lib/volumes/uses.ts';
import { tar } from '../support/archives.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';
import { temporaryDirectory } from '../support/rootfs.ts';

// The records of the data directory, as a failing disk, a bad copy or another program may leave them.

const directory = temporaryDirectory();
afterAll(async () => {
  await removeData(join(directory.path, 'store'));
  directory.remove();
});

const name = 'a'.repeat(64);
const id = `sha256:${name}`;
const layer = {
  ...{ version: 1, chainId: id, diffId: id, digest: id, size: 10, opaque: [], skipped: [] },
  ...{ owners: [{ path: 'etc/a', uid: 1, gid: 1, mode: 0o644 }], attributes: [['etc', [['user.x', 'a\0b']]]] },
};
const container = { image: id, driver: 'overlay', layers: [name], command: ['sh'], config: {}, mountPoints: ['/proc'] };
const device = {
  ...{ path: 'dev/x', type: 'block', major: 8, minor: 0, mode: 0o600, uid: 0, gid: 0, mtime: 1, nanoseconds: 0 },
  xattrs: [],
};
const volume = {
  ...{ version: 1, name: 'v', driver: 'local', options: {}, labels: {}, created: '2026-01-01T00:00:00Z' },
  ...{ scope: 'local', anonymous: false },
};

/** Each kind with its file, what is right in it, and what is wrong besides what is wrong in any of them. */
const kinds = {
  'layer.json': [
    layer,
    { ...layer, opaque: ['../../etc'] },
    { ...layer, opaque: 'x' },
    { ...layer, owners: [{ path: '/etc/passwd', uid: 0, gid: 0, mode: 0 }] },
    { ...layer, owners: [{ path: 'a/..', uid: 0, gid: 0, mode: 0 }] },
    { ...layer, owners: [{ path: 'a', uid: 4294967295, gid: 0, mode: 0 }] },
    { ...layer, attributes: [['etc', 5]] },
    { ...layer, size: 1e300 },
    { ...layer, version: '1' },
    { ...layer, devices: [{ ...device, path: 'a/../../b' }] },
  ],
  'container.json': [
    container,
    { ...container, layers: ['../../../etc'] },
    { ...container, layers: name },
    { ...container, layers: [5] },
    { ...container, driver: '../x' },
    { ...container, maps: { uids: [{ container: 0, host: 0, size: 2 ** 40 }], gids: [] } },
    { ...container, command: 5 },
    { ...container, config: 'x' },
    { ...container, mountPoints: [{}] },
  ],
  'devices.json': [[device], [{ ...device, path: '../x' }], [{ ...device, major: -1 }], [5], { 0: device }],
  'volume.json': [
    volume,
    { ...volume, labels: 5 },
    { ...volume, options: { device: 5 } },
    { ...volume, created: null },
    { ...volume, scope: '../x' },
  ],
  '.limits.json': [{ max: 5 }, { max: -1 }, { max: '5' }, { maxByDriver: 5 }, { maxByDriver: { local: 1e300 } }],
} as const;

const readers: Readonly<Record<keyof typeof kinds, (directory: string) => Promise<unknown>>> = {
  'layer.json': readLayerFile,
  'container.json': readContainerFile,
  'devices.json': readCopyDevices,
  'volume.json': readRecord,
  '.limits.json': readLimits,
};

/** What can stand in the place of any file. */
const things: Readonly<Record<string, (path: string) => void>> = {
  'a fifo': (path) => execFileSync('mkfifo', [path]),
  'a directory': (path) => mkdirSync(path),
  'a link to a file of others': (path) => symlinkSync('/etc/hostname', path),
  'a link to itself': (path) => symlinkSync(path, path),
  'an endless device': (path) => symlinkSync('/dev/zero', path),
  'a gigabyte': (path) => {
    writeFileSync(path, '');
    truncateSync(path, 1024 ** 3);
  },
  nothing: (path) => writeFileSync(path, ''),
  'half of it': (path) => writeFileSync(path, '{"version":1,"name'),
  null: (path) => writeFileSync(path, 'null'),
  'a number': (path) => writeFileSync(path, '5'),
  'a text': (path) => writeFileSync(path, '"text"'),
  'a deep list': (path) => writeFileSync(path, '['.repeat(200_000)),
};

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])('%s', (file) => {
  const [right, ...wrong] = kinds[file];
  const at = join(directory.path, file.replaceAll('.', ''));

  async function read(write: (path: string) => void): Promise<unknown> {
    rmSync(at, { recursive: true, force: true });
    mkdirSync(at);
    write(join(at, file));
    return readers[file](at).catch((error: unknown) => {
      expect(RuntsError.is(error), String(error)).toBe(true);
      expect((error as Error).message).toContain(join(at, file));
      return undefined;
    });
  }

  test('is read when it is right', async () => {
    expect(await read((path) => writeFileSync(path, JSON.stringify(right)))).toEqual(right);
  });

  test.each(wrong.map((each) => JSON.stringify(each)))('is none, or an error that names it: %s', async (text) => {
    expect(await read((path) => writeFileSync(path, text))).toBeUndefined();
  });

  test.each(Object.keys(things))('is none, or an error that names it: %s', async (thing) => {
    expect(await read(things[thing]!)).toBeUndefined();
  });
});

test.each(Object.keys(things))('layers stay where a container does not say which it needs, but %s', async (thing) => {
  const containers = join(directory.path, `containers-${thing.replaceAll(' ', '-')}`);
  for (const each of ['whole', 'damaged', 'young']) mkdirSync(join(containers, each), { recursive: true });
  writeFileSync(join(containers, 'whole', 'container.json'), JSON.stringify(container));
  expect(await layersInUse(containers)).toEqual(new Set([name]));
  things[thing]!(join(containers, 'damaged', 'container.json'));
  await expect(layersInUse(containers)).rejects.toMatchObject({ code: 'ERR_STATE' });
});

test.each(Object.keys(things).filter((each) => !/directory|itself|endless/.test(each)))(
  'who uses a volume is not known by %s, and nothing waits for it',
  async (thing) => {
    const uses = join(directory.path, `uses-${thing.replaceAll(' ', '-')}`);
    mkdirSync(uses);
    things[thing]!(join(uses, 'x'));
    const found = await findUses(uses, 'look').catch((error: unknown) => error);
    expect(JSON.stringify(found)).not.toContain('hostname');
  },
);

testIf('userns')('an image whose unpacked layer is damaged says where, and what to do', async () => {
  const host = createHost();
  const maps = ownerMaps(undefined, await probeFacts(host));
  const options = { maps, devices: maps === undefined };
  const open = () => LayerStore.open(host, join(directory.path, 'store'), options);
  const archive = tar({ name: 'a', content: 'a' });
  const digest = `sha256:${createHash('sha256').update(archive).digest('hex')}`;
  const image = { layers: [{ digest, diffId: digest, open: () => Readable.from([archive]) }] };
  const store = await open();
  const [stored] = await store.ensure(image);
  const path = join(store.directory, stored!.name);
  writeFileSync(join(path, 'layer.json'), '{"version":1');
  const error = await (await open()).ensure(image).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'ERR_STATE', message: expect.stringContaining(path) });
  expect(readdirSync(store.directory).filter((each) => each.startsWith('.partial'))).toEqual([]);
  // It can be removed, and is made again.
  rmSync(path, { recursive: true });
  expect(await (await open()).ensure(image)).toHaveLength(1);
});
