// What unit/layers/hostile.test.ts gives to the unpacker that is read easily, given to the one that is used: both ways in which
// it puts a layer on disk.
import fs, { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished } from 'vitest';
import { probeFacts } from '../../lib/host/probe.ts';
import type { LayerSource } from '../../lib/layers/extract.ts';
import { LayerStore } from '../../lib/layers/store.ts';
import { createHost } from '../../lib/node/host.ts';
import { ownerMaps } from '../../lib/plan/keeper.ts';
import { layer, type Member, sha256, tar } from '../support/archives.ts';
import { good, hostileArchives, hostileLayers, up } from '../support/hostile-layers.ts';
import { removeData } from '../support/remove-data.ts';
import { testIf } from '../support/requires.ts';
import { look } from '../support/unpacked.ts';

const test = testIf('userns');
const host = createHost();

/** `overlay`: each layer by itself; `copy`: all of them in one directory, as the driver of that name has them. */
const forms = ['overlay', 'copy'] as const;
type Form = (typeof forms)[number];

/** Unpacks layers beside a file that is none of theirs; `root` is where the last one is. */
async function unpack(form: Form, layers: readonly LayerSource[]) {
  const outside = mkdtempSync(join(tmpdir(), 'runts-test-'));
  onTestFinished(() => removeData(outside));
  fs.writeFileSync(join(outside, 'victim'), 'old', { mode: 0o600 });
  fs.mkdirSync(join(outside, 'root'));
  const maps = ownerMaps(undefined, await probeFacts(host));
  const store = await LayerStore.open(host, join(outside, 'layers'), { maps, devices: maps === undefined });
  const work = async (): Promise<string> => {
    if (form === 'overlay') return (await store.ensure({ layers })).at(-1)!.diff;
    await store.merge({ layers }, join(outside, 'root'));
    return join(outside, 'root');
  };
  const [root, error] = await work().then(
    (path) => [path, undefined] as const,
    (reason: unknown) => ['', reason as { code: string; message: string }] as const,
  );
  expect(fs.readdirSync(outside).sort()).toEqual(['layers', 'root', 'victim']);
  expect(fs.readFileSync(join(outside, 'victim'), 'utf8')).toBe('old');
  expect(fs.statSync(join(outside, 'victim')).mode & 0o7777).toBe(0o600);
  if (error !== undefined) expect(fs.readdirSync(store.directory)).toEqual(['locks']);
  return { root, error };
}

const refusal = async (form: Form, layers: readonly LayerSource[]) => (await unpack(form, layers)).error;
const layersOf = (...all: readonly Member[][]) => all.map((members) => layer(tar(...members)));

for (const form of forms) {
  for (const [what, members, reason] of hostileLayers) {
    test(`a layer with ${what} is refused (${form}), and leaves nothing`, async () => {
      const error = await refusal(form, layersOf(members));
      expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
      expect(error!.message).toContain('layer 1 of 1 (sha256:');
    });
  }

  for (const [what, bytes, reason] of hostileArchives) {
    test(`a layer that ${what} is refused (${form}), and leaves nothing`, async () => {
      const error = await refusal(form, [layer(bytes)]);
      expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
    });
  }

  test(`a compressed layer that is cut, or not what its digest says, is refused (${form})`, async () => {
    const packed = gzipSync(good);
    for (const source of [layer(good, packed.subarray(0, -12)), { ...layer(good), diffId: sha256('other') }]) {
      expect(await refusal(form, [source])).toMatchObject({ code: 'ERR_IMAGE' });
    }
  });

  test(`symbolic links that point out of the root lead nowhere outside (${form})`, async () => {
    const { root, error } = await unpack(
      form,
      layersOf([
        { name: 'abs', type: '2', link: '/' },
        { name: 'up', type: '2', link: '..' },
        { name: 'abs/a', content: 'a' },
        { name: 'up/b', content: 'b' },
        { name: 'far', type: '2', link: `${up}tmp` },
        { name: 'far/c', content: 'c' },
        { name: 'l', type: '2', link: '../victim' },
        { name: 'l', content: 'new', mode: 0o777 },
      ]),
    );
    expect(error).toBeUndefined();
    expect(look(root)).toEqual([
      'a 644 a',
      'abs -> /',
      'b 644 b',
      `far -> ${up}tmp`,
      'l 777 new',
      'tmp/ 755',
      'tmp/c 644 c',
      'up -> ..',
    ]);
  });

  test(`what a layer takes away by way of a link is nothing outside (${form})`, async () => {
    const lower: Member[] = [{ name: 'd', type: '2', link: '../..' }, { name: 'keep' }];
    const upper: Member[] = [{ name: 'd/.wh.victim' }, { name: 'd/.wh..wh..opq' }];
    expect(await refusal(form, layersOf(lower, upper))).toBeUndefined();
  });

  test(`a hard link is to a link itself, and to no file outside that one leads to (${form})`, async () => {
    const through: Member[] = [
      { name: 'd', type: '2', link: '../' },
      { name: 'a', type: '1', link: 'd/victim' },
    ];
    expect(await refusal(form, layersOf(through))).toMatchObject({ code: 'ERR_IMAGE' });
    const { root } = await unpack(
      form,
      layersOf([
        { name: 'l', type: '2', link: '/etc/shadow' },
        { name: 'a', type: '1', link: 'l' },
      ]),
    );
    expect(look(root)).toEqual(['a -> /etc/shadow', 'l -> /etc/shadow']);
  });

  test(`files get the modes that the layer says, whatever the directory gives to what is made in it (${form})`, async () => {
    const modes = [0o644, 0o600, 0o4755, 0o2711, 0o1666, 0o777, 0, 0o644];
    const members = modes.map((mode, i): Member => ({ name: `d/f${i}`, mode, content: 'x' }));
    const { root } = await unpack(form, layersOf([{ name: 'd/', mode: 0o2755 }, ...members], members.reverse()));
    const found = modes.map((_, i) => fs.statSync(join(root, `d/f${i}`)).mode & 0o7777);
    expect(found).toEqual(modes);
  });
}
