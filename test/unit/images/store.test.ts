import fs from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { type BlobId, ImageStore } from '../../../lib/images/store/store.ts';
import * as archives from '../../support/archives.ts';
import { layerOf, putFiles, putImage, temporaryStore } from '../../support/stores.ts';

const idOf = (content: string) => ({ digest: archives.sha256(content), size: content.length });
const pathOf = (store: ImageStore, digest: string) => join(store.directory, 'blobs', digest.replace(':', '/'));
const names = async (store: ImageStore) =>
  (await store.list()).flatMap((image) => image.names.map(({ reference }) => reference)).sort();

async function refusal(work: Promise<unknown>): Promise<RuntsError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!RuntsError.is(error)) throw new Error(`not refused: ${error}`);
  return error;
}

/** How much of a blob is there to be gone on with. */
async function offsetOf(store: ImageStore, blob: BlobId): Promise<number> {
  const ingest = await store.ingest(blob);
  await ingest.close();
  return ingest.offset;
}

/** Makes a blob as old as nothing that is being made now. */
function age(store: ImageStore, ...digests: string[]): void {
  for (const digest of digests) fs.utimesSync(pathOf(store, digest), 1000, 1000);
}

describe('blobs', () => {
  test('a blob that was put is there, by its digest and size, and in no other size', async () => {
    const store = await temporaryStore();
    const descriptor = await store.put(Buffer.from('abc'), 'text/plain');
    expect(descriptor).toMatchObject({ ...idOf('abc'), mediaType: 'text/plain' });
    expect(await store.has(descriptor)).toBe(true);
    expect(await store.has({ ...descriptor, size: 4 })).toBe(false);
    expect((await store.read(descriptor)).toString()).toBe('abc');
    expect(await text(store.open(descriptor))).toBe('abc');
  });

  test('what was altered on the disk is not read', async () => {
    const store = await temporaryStore();
    const descriptor = await store.put(Buffer.from('abc'), '');
    fs.writeFileSync(pathOf(store, descriptor.digest), 'abd');
    expect(await refusal(store.read(descriptor))).toMatchObject({ code: 'ERR_IMAGE' });
    await expect(text(store.open(descriptor))).rejects.toThrow('wrong digest');
    expect((await store.verify()).damaged).toMatchObject([{ digest: descriptor.digest }]);
  });

  test('an ingest that was left is gone on with where it stopped', async () => {
    const store = await temporaryStore();
    const blob = idOf('hello world');
    const first = await store.ingest(blob);
    await first.write(Buffer.from('hello'));
    await first.close();
    expect(await store.has(blob)).toBe(false);

    const second = await store.ingest(blob);
    expect(second).toMatchObject({ offset: 5, exists: false });
    await second.write(Buffer.from(' world'));
    expect(await second.commit()).toEqual(blob);
    await second.close();
    expect((await store.read(blob)).toString()).toBe('hello world');
    expect(fs.readdirSync(join(store.directory, 'ingest'))).toEqual([]);
  });

  test.each([
    ['other bytes', 'hello xxxxx', 'its content has the digest'],
    ['more bytes', 'hello world!', 'should have 11'],
  ])('of %s nothing is kept', async (_, content, why) => {
    const store = await temporaryStore();
    const ingest = await store.ingest(idOf('hello world'));
    const attempt = ingest.write(Buffer.from(content)).then(() => ingest.commit());
    expect(await refusal(attempt)).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringContaining(why) });
    await ingest.close();
    expect(fs.readdirSync(join(store.directory, 'ingest'))).toEqual([]);
    expect(await offsetOf(store, idOf('hello world'))).toBe(0);
  });

  test('too few bytes are refused, and kept to be gone on with', async () => {
    const store = await temporaryStore();
    const ingest = await store.ingest(idOf('hello world'));
    await ingest.write(Buffer.from('hello'));
    expect(await refusal(ingest.commit())).toMatchObject({ message: expect.stringContaining('ends after 5 bytes') });
    await ingest.close();
    expect(await offsetOf(store, idOf('hello world'))).toBe(5);
  });

  test('what was kept of an attempt and is damaged is found out at the end, and then begun anew', async () => {
    const store = await temporaryStore();
    const blob = idOf('hello world');
    fs.writeFileSync(join(store.directory, 'ingest', blob.digest.replace(':', '-')), 'hexxo');
    const ingest = await store.ingest(blob);
    await ingest.write(Buffer.from(' world'));
    expect(await refusal(ingest.commit())).toMatchObject({ code: 'ERR_IMAGE' });
    await ingest.close();
    expect(await offsetOf(store, blob)).toBe(0);
  });

  test('who wants the same blob waits, and finds it there', async () => {
    const store = await temporaryStore();
    const blob = idOf('x');
    const first = await store.ingest(blob);
    let opened = false;
    const second = store.ingest(blob).then((ingest) => {
      opened = true;
      return ingest;
    });
    await first.write(Buffer.from('x'));
    expect(opened).toBe(false);
    await first.commit();
    await first.close();
    expect(await second).toMatchObject({ exists: true, offset: 1 });
    expect(await (await second).commit()).toEqual(blob);
  });

  test('a wait for another ingest is canceled by a signal', async () => {
    const store = await temporaryStore();
    const first = await store.ingest(idOf('x'));
    const controller = new AbortController();
    const second = store.ingest(idOf('x'), { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(second).rejects.toThrow();
    await first.close();
  });

  test('a blob whose digest nobody knows before gets the one that it has', async () => {
    const store = await temporaryStore();
    const ingest = await store.ingest({ algorithm: 'sha256' });
    await ingest.write(Buffer.from('ab'));
    await ingest.write(Buffer.from('c'));
    expect(await ingest.commit()).toEqual(idOf('abc'));
    await ingest.close();
    expect(await store.has(idOf('abc'))).toBe(true);
  });
});

describe('references', () => {
  test('an image is found by any form of its name, by its id, its digest, and the beginning of an id', async () => {
    const store = await temporaryStore();
    const target = await putImage(store, 'one');
    await store.tag('debian', target);
    const image = await store.resolve('debian');
    expect(image?.names).toEqual([{ reference: 'docker.io/library/debian:latest', target }]);
    const ways = [
      'debian:latest',
      'docker.io/library/debian',
      `debian@${target.digest}`,
      image!.id,
      image!.id.slice(7),
      image!.id.slice(7, 19),
      target.digest,
    ];
    for (const way of ways) expect(await store.resolve(way), way).toEqual(image);
    for (const way of ['debian:12', 'other', `other@${target.digest}`, 'sha256:0000'])
      expect(await store.resolve(way), way).toBeUndefined();
  });

  test('an id that is the beginning of two is refused', async () => {
    const store = await temporaryStore();
    for (let i = 0; i < 17; i++) await store.tag(`i${i}`, await putImage(store, `${i}`));
    const firsts = (await store.list()).map(({ id }) => id[7]!);
    const twice = firsts.find((digit, at) => firsts.indexOf(digit) !== at)!;
    const error = await refusal(store.resolve(twice));
    expect(error).toMatchObject({ code: 'ERR_NOT_FOUND', message: expect.stringContaining('images') });
  });

  test('a name that was asked for before leads to the image that has it now, also where another process gave it', async () => {
    const store = await temporaryStore();
    const [one, two] = [await putImage(store, 'one'), await putImage(store, 'two')];
    const recalled = async () => (await store.recall('name'))?.descriptor.digest;
    expect(await recalled()).toBeUndefined();
    const others = await ImageStore.open(store.directory);
    for (const target of [one, two, one, two]) {
      await others.tag('name', target);
      expect(await recalled()).toBe(target.digest);
      expect(await recalled()).toBe(target.digest);
    }
    await others.untag('name');
    expect(await recalled()).toBeUndefined();
  });

  test('a name that gets another meaning leaves the image that had it without a name', async () => {
    const store = await temporaryStore();
    const [one, two] = [await putImage(store, 'one'), await putImage(store, 'two')];
    await store.tag('a', one);
    await store.tag('b', one);
    await store.tag('b', two);
    expect(await names(store)).toEqual(['docker.io/library/a:latest', 'docker.io/library/b:latest']);
    await store.tag('a', two);
    const images = await store.list();
    expect(images.map((image) => image.names.length).sort()).toEqual([0, 2]);
    await store.tag('c', one);
    expect((await store.list()).map((image) => image.names.length).sort()).toEqual([1, 2]);
  });

  test('a reference to what is not here cannot be made', async () => {
    const store = await temporaryStore();
    const target = await putImage(store, 'one');
    const absent = { ...target, digest: archives.sha256('x') };
    expect(await refusal(store.tag('a', absent))).toMatchObject({ code: 'ERR_NOT_FOUND' });
  });

  test('of an image for several platforms, the one of this machine is taken, or the only one that is here', async () => {
    const store = await temporaryStore();
    const own = archives.ociImage({ layers: [layerOf('own')] });
    const other = archives.ociImage({ layers: [layerOf('other')], architecture: 's390x' });
    const attested = archives.ociImage({ layers: [layerOf('attested')] });
    const at = (architecture: string, os = 'linux') => ({ platform: { os, architecture } });
    const index = archives.ociIndex([
      { ...other.descriptor, ...at('s390x') },
      { ...own.descriptor, ...at(archives.thisArchitecture) },
      { ...attested.descriptor, ...at('unknown', 'unknown') },
    ]);
    await putFiles(store, other);
    await store.tag('several', await putFiles(store, index));
    expect((await store.resolve('several'))?.document.platform.architecture).toBe('s390x');
    await putFiles(store, own);
    expect((await store.resolve('several'))?.document.platform.architecture).toBe(archives.thisArchitecture);
    const platform = { os: 'linux', architecture: 's390x' };
    expect((await store.resolve('several', { platform }))?.document.platform.architecture).toBe('s390x');
    const absent = { os: 'linux', architecture: 'riscv64' };
    expect(await refusal(store.resolve('several', { platform: absent }))).toMatchObject({ code: 'ERR_IMAGE' });
  });

  test('an image that cannot be read does not hide the others', async () => {
    const store = await temporaryStore();
    const [one, two] = [await putImage(store, 'one'), await putImage(store, 'two')];
    await store.tag('one', one);
    await store.tag('two', two);
    fs.writeFileSync(pathOf(store, one.digest), '{}');
    const { images, damaged } = await store.survey();
    expect(images).toHaveLength(1);
    expect(damaged).toMatchObject([{ reference: 'docker.io/library/one:latest', target: { digest: one.digest } }]);
    expect(await refusal(store.resolve('one'))).toMatchObject({ code: 'ERR_IMAGE' });
    expect(await store.untag('one')).toMatchObject({ digest: one.digest });
  });

  test.each([
    ['no JSON', 'x'],
    ['a manifest and an index at once', '{"schemaVersion":2,"manifests":[],"layers":[]}'],
    ['a digest that climbs', '{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha256:../../x","size":1}]}'],
    [
      'a negative size',
      `{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"${'sha256:'.padEnd(71, '0')}","size":-1}]}`,
    ],
  ])('an index.json with %s is refused, and stays as it is', async (_, content) => {
    const store = await temporaryStore();
    const target = await putImage(store, 'one');
    const path = join(store.directory, 'index.json');
    fs.writeFileSync(path, content);
    for (const attempt of [() => store.list(), () => store.tag('a', target), () => store.collect({ graceMs: 0 })])
      expect(await refusal(attempt())).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringContaining(path) });
    expect(fs.readFileSync(path, 'utf8')).toBe(content);
    expect(await store.has(target)).toBe(true);
  });
});

describe('collection', () => {
  const blobs = (store: ImageStore) => fs.readdirSync(join(store.directory, 'blobs/sha256')).length;

  test('what a reference leads to stays, also a shared layer; the rest goes once it is old', async () => {
    const store = await temporaryStore();
    const [one, two] = [await putImage(store, 'shared', 'one'), await putImage(store, 'shared', 'two')];
    await store.tag('one', one);
    await store.tag('two', two);
    expect(await store.collect({ graceMs: 0 })).toMatchObject({ removed: [] });
    await store.untag('one');
    expect(await store.collect()).toMatchObject({ removed: [] });
    expect((await store.collect({ graceMs: 0 })).removed).toHaveLength(3);
    expect(await store.verify()).toMatchObject({ blobs: 4, damaged: [], missing: [] });
    expect((await store.resolve('two'))?.manifest.layers).toHaveLength(2);
  });

  test('blobs of an image that was removed need not be old', async () => {
    const store = await temporaryStore();
    const one = await putImage(store, 'one');
    const removed = new Set([one.digest]);
    expect((await store.collect({ removed })).removed).toEqual([one.digest]);
    expect(blobs(store)).toBe(2);
  });

  test('an image without a name stays until it is dropped', async () => {
    const store = await temporaryStore();
    const one = await putImage(store, 'one');
    await store.keep(one);
    await store.keep(one);
    expect(await store.list()).toHaveLength(1);
    await store.collect({ graceMs: 0 });
    expect(blobs(store)).toBe(3);
    await store.drop([one]);
    await store.collect({ graceMs: 0 });
    expect(blobs(store)).toBe(0);
  });

  test('what a container uses stays', async () => {
    const store = await temporaryStore();
    const one = await putImage(store, 'one');
    await store.collect({ graceMs: 0, inUse: [one.digest] });
    expect(blobs(store)).toBe(3);
  });

  test('while a lease is held, what is stored or found stays, and what is old goes', async () => {
    const store = await temporaryStore();
    const found = await store.put(Buffer.from('found'), '');
    const old = await store.put(Buffer.from('old'), '');
    age(store, found.digest, old.digest);
    const lease = await store.lease();
    expect(await store.has(found)).toBe(true);
    const fresh = await store.put(Buffer.from('fresh'), '');
    // Whoever collects is another process; here it is another store of the same directory.
    const other = await ImageStore.open(store.directory);
    expect((await other.collect({ graceMs: -1000 })).removed).toEqual([old.digest]);
    expect([await store.has(found), await store.has(fresh)]).toEqual([true, true]);
    await lease.release();
    const { removed } = await other.collect({ graceMs: -1000 });
    expect([...removed].sort()).toEqual([found.digest, fresh.digest].sort());
    expect(fs.readdirSync(join(store.directory, 'leases'))).toEqual([]);
  });

  test('the source of an image keeps its layers until it is closed', async () => {
    const store = await temporaryStore();
    await store.tag('one', await putImage(store, 'one'));
    const source = await store.source((await store.resolve('one'))!);
    await store.untag('one');
    expect(await store.collect({ graceMs: -1000 })).toMatchObject({ removed: [] });
    const layer = source.layers[0]!;
    let bytes = 0;
    for await (const chunk of layer.open()) bytes += (chunk as Buffer).length;
    expect(bytes).toBe(layer.size);
    await source.close();
    expect((await store.collect({ graceMs: -1000 })).removed).toHaveLength(3);
  });

  test('a manifest that is damaged stops it: what that needs cannot be told', async () => {
    const store = await temporaryStore();
    const one = await putImage(store, 'one');
    await store.tag('one', one);
    fs.writeFileSync(pathOf(store, one.digest), '{');
    expect(await refusal(store.collect({ graceMs: -1000 }))).toMatchObject({ code: 'ERR_IMAGE' });
    expect(blobs(store)).toBe(3);
  });

  test('what nobody is writing any more goes: at once if it has no digest, else when it is old', async () => {
    const store = await temporaryStore();
    const ingest = join(store.directory, 'ingest');
    const partial = idOf('part').digest.replace(':', '-');
    for (const name of ['new-0011', partial]) fs.writeFileSync(join(ingest, name), 'x');
    fs.writeFileSync(join(store.directory, 'index.json.new'), '{');
    const writing = await store.ingest({ algorithm: 'sha256' });
    await writing.write(Buffer.from('w'));
    await store.collect();
    expect(fs.readdirSync(ingest)).toContain(partial);
    expect(fs.readdirSync(ingest)).toHaveLength(2);
    expect(fs.readdirSync(store.directory)).not.toContain('index.json.new');
    await store.collect({ partialMs: -1000 });
    expect(fs.readdirSync(ingest)).toHaveLength(1);
    expect(await writing.commit()).toEqual(idOf('w'));
    await writing.close();
  });
});

test('a manifest whose layer is gone is found out by verify', async () => {
  const store = await temporaryStore();
  await store.tag('one', await putImage(store, 'one'));
  const [layer] = (await store.resolve('one'))!.manifest.layers;
  fs.unlinkSync(pathOf(store, layer!.digest));
  expect((await store.verify()).missing).toEqual([{ digest: layer!.digest, problem: 'it is not here' }]);
});
