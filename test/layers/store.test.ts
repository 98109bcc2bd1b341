import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect } from 'vitest';
import { probeFacts } from '../../lib/host/probe.ts';
import { LayerStore } from '../../lib/layers/store.ts';
import { createHost } from '../../lib/node/host.ts';
import { ownerMaps } from '../../lib/plan/keeper.ts';
import { type Member, tar } from '../support/archives.ts';
import { unpackLayers } from '../support/reference/unpack.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';

const host = createHost();
let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'runts-test-'));
});
afterAll(() => removeData(directory));

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** A layer as an image has it, compressed. */
function layer(...members: Member[]) {
  const archive = tar(...members);
  const stored = gzipSync(archive);
  return { digest: digestOf(stored), diffId: digestOf(archive), open: () => Readable.from([stored]) };
}

async function openStore(name: string): Promise<LayerStore> {
  const maps = ownerMaps(undefined, await probeFacts(host));
  return LayerStore.open(host, join(directory, name), { maps, devices: maps === undefined });
}

/** Names, types, modes, sizes, times and targets of all there is. */
const listing = (path: string) =>
  execFileSync('find', ['.', '-printf', '%P %y %m %s %T@ %l %n\\n'], { cwd: path, encoding: 'utf8' })
    .split('\n')
    .map((line) => line.replace(/^(\S* d \S+) \S+/, '$1 -'))
    .sort();

const unique = randomBytes(8).toString('hex');
const lower = (): Member[] => [
  { name: './', mode: 0o755, mtime: 999 },
  { name: 'etc/', mode: 0o755, mtime: 1000 },
  { name: 'etc/a', content: unique, mode: 0o640, mtime: 1001 },
  { name: 'etc/b', type: '1', link: 'etc/a' },
  { name: 'usr/', mode: 0o755, mtime: 1002 },
  { name: 'usr/lib/', mode: 0o755, mtime: 1002 },
  { name: 'usr/lib/x', content: 'x'.repeat(100_000), mode: 0o4755, mtime: 1003 },
  { name: 'lib', type: '2', link: 'usr/lib', mtime: 1004 },
  { name: 'gone/', mode: 0o700, mtime: 1005 },
  { name: 'gone/file', content: 'x', mtime: 1006 },
];
const upper = (): Member[] => [
  { name: '.wh.gone' },
  { name: 'lib/made', content: 'through', mtime: 2000 },
  { name: 'etc/.wh.a' },
  { name: 'usr/lib/', mode: 0o711, mtime: 2001 },
];

testIf('userns')('layers merged by the native unpacker are what the one in JavaScript makes of them', async () => {
  const image = { layers: [layer(...lower()), layer(...upper())] };
  const [ours, theirs] = ['native', 'javascript'].map((name) => join(directory, name)) as [string, string];
  mkdirSync(ours);
  mkdirSync(theirs);
  await (await openStore('merging')).merge(image, ours);
  await unpackLayers(image, theirs, { asRoot: process.geteuid?.() === 0 });
  expect(listing(ours)).toEqual(listing(theirs));
});

testIf('userns')('a layer is unpacked once, whoever asks at the same time', async () => {
  const image = { layers: [layer(...lower()), layer(...upper())] };
  const told: string[] = [];
  const ask = async () => {
    const onProgress = ({ layer, what }: { layer: number; what: string }) =>
      void (what === 'done' && told.push(`${layer}`));
    return (await openStore('shared')).ensure(image, { onProgress });
  };
  const [first, second] = await Promise.all([ask(), ask()]);
  expect(told.sort()).toEqual(['0', '1']);
  expect(first!.map(({ name }) => name)).toEqual(second!.map(({ name }) => name));
  expect(readdirSync(join(directory, 'shared')).filter((name) => name.startsWith('.'))).toEqual([]);
  // What the upper one takes away is marked, and what it puts into a link of the lower one is where the link leads.
  const found = listing(first![1]!.diff);
  expect(found.filter((line) => / c /.test(line)).map((line) => line.split(' ')[0])).toEqual(['etc/a', 'gone']);
  expect(found.some((line) => line.startsWith('usr/lib/made f'))).toBe(true);
});

testIf('userns')('a layer that is not what its digest says leaves nothing', async () => {
  const good = layer({ name: 'x', content: unique });
  const image = { layers: [{ ...good, diffId: `sha256:${'0'.repeat(64)}` }] };
  const store = await openStore('damaged');
  await expect(store.ensure(image)).rejects.toMatchObject({ code: 'ERR_IMAGE' });
  expect(readdirSync(store.directory)).toEqual(['locks']);
});

testIf('userns')('what nobody uses is collected, and nothing else', async () => {
  const [kept, other] = [layer({ name: 'kept' }), layer({ name: 'other' })];
  const store = await openStore('collected');
  const [keep] = await store.ensure({ layers: [kept] });
  const [drop] = await store.ensure({ layers: [other] });
  expect(await store.collect(async () => new Set([keep!.name]))).toEqual([drop!.name]);
  expect(readdirSync(store.directory).sort()).toEqual([keep!.name, 'locks'].sort());
});
