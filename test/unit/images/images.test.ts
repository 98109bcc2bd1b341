import fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { commitImage } from '../../../lib/images/commit.ts';
import { Images } from '../../../lib/images/images.ts';
import { parsePruneFilters } from '../../../lib/images/prune.ts';
import * as archives from '../../support/archives.ts';
import { layerOf } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';

async function temporaryImages(): Promise<{ images: Images; directory: string }> {
  const directory = await temporaryDirectory();
  return { images: new Images({ directory }), directory };
}

const saved = (tags: readonly string[], ...contents: string[]): Buffer =>
  archives.packFiles(
    archives.dockerFiles({ layers: contents.map(layerOf), config: { Labels: { of: contents[0] } } }, tags),
  );

const ociArchive = (name: string | undefined, content: string): Buffer => {
  const { files, descriptor } = archives.ociImage({ layers: [layerOf(content)] });
  const annotations = { 'org.opencontainers.image.ref.name': name };
  return archives.packFiles(archives.ociFiles([{ ...descriptor, annotations }], files));
};

const load = (images: Images, bytes: Buffer) => images.load(Readable.from([bytes], { objectMode: false }));

async function refusal(work: Promise<unknown>): Promise<RuntsError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!RuntsError.is(error)) throw new Error(`not refused: ${error}`);
  return error;
}

/** Notes that a container was made of an image. */
function use(directory: string, container: string, image: string): void {
  const path = join(directory, 'containers', container);
  fs.mkdirSync(path, { recursive: true });
  fs.writeFileSync(join(path, 'container.json'), JSON.stringify({ image }));
}

const blobs = (directory: string) => fs.readdirSync(join(directory, 'images/blobs/sha256'));

describe('load', () => {
  const forms: [string, Buffer][] = [
    ['docker-archive', saved(['a:1', 'b:2'], 'one', 'two')],
    ['docker-archive that is compressed', gzipSync(saved(['a:1', 'b:2'], 'one', 'two'))],
  ];
  test.each(forms)('a %s is loaded under its names, as the image that it is', async (_, bytes) => {
    const { images } = await temporaryImages();
    const [image] = await load(images, bytes);
    expect(image?.references).toEqual(['docker.io/library/a:1', 'docker.io/library/b:2']);
    expect(image?.config.Labels).toEqual({ of: 'one' });
    // The id is the one that Docker has for it.
    const config = JSON.stringify(
      archives.configOf({ layers: ['one', 'two'].map(layerOf), config: { Labels: { of: 'one' } } }),
    );
    expect(image?.id).toBe(archives.sha256(config));
    expect(await images.verify()).toMatchObject({ blobs: 4, damaged: [], missing: [] });
  });

  test('every image of an archive is loaded', async () => {
    const { images } = await temporaryImages();
    const [one, two] = ['one', 'two'].map((content) => archives.ociImage({ layers: [layerOf(content)] }));
    const named = (descriptor: object, name: string) => ({
      ...descriptor,
      annotations: {
        'io.containerd.image.name': `docker.io/library/${name}`,
        'org.opencontainers.image.ref.name': '1',
      },
    });
    const bytes = archives.packFiles(
      archives.ociFiles([named(one!.descriptor, 'a:1'), named(two!.descriptor, 'b:1')], one!.files, two!.files),
    );
    expect((await load(images, bytes)).map(({ references }) => references[0])).toEqual([
      'docker.io/library/a:1',
      'docker.io/library/b:1',
    ]);
  });

  test('an image without a name is loaded without one, and found by its id', async () => {
    const { images } = await temporaryImages();
    const [image] = await load(images, ociArchive(undefined, 'one'));
    expect(image?.references).toEqual([]);
    expect(await images.get(image!.id.slice(7, 19))).toEqual(image);
  });

  test('an archive with a layer that is another is refused, and nothing gets a name', async () => {
    const { images, directory } = await temporaryImages();
    const files = archives.dockerFiles({ layers: [layerOf('one')] }, ['a:1']);
    const layer = Object.keys(files).find((name) => name.endsWith('layer.tar'))!;
    const bytes = archives.packFiles({ ...files, [layer]: layerOf('two') });
    expect(await refusal(load(images, bytes))).toMatchObject({ code: 'ERR_IMAGE' });
    expect(await images.list()).toEqual([]);
    await images.prune({ graceMs: -1000 });
    expect(blobs(directory)).toEqual([]);
  });

  test('a compressed layer of a docker-archive must be the one that its configuration names', async () => {
    const { images } = await temporaryImages();
    const files = archives.dockerFiles({ layers: [layerOf('one')] }, ['a:1']);
    const layer = Object.keys(files).find((name) => name.endsWith('layer.tar'))!;
    const pack = (content: string) => archives.packFiles({ ...files, [layer]: gzipSync(layerOf(content)) });
    expect(await refusal(load(images, pack('two')))).toMatchObject({ code: 'ERR_IMAGE' });
    expect(await load(images, pack('one'))).toHaveLength(1);
  });

  test('a root file system is no image, and the error says what to do', async () => {
    const { images } = await temporaryImages();
    const error = await refusal(load(images, layerOf('one')));
    expect(error).toMatchObject({ code: 'ERR_IMAGE', hint: expect.stringContaining('runts import') });
  });
});

describe('save', () => {
  test.each(['docker-archive', 'oci-archive'] as const)(
    'what is saved as %s is loaded as the same images',
    async (format) => {
      const { images } = await temporaryImages();
      await load(images, saved(['a:1', 'a:2'], 'one', 'two'));
      await load(images, ociArchive('b:1', 'three'));
      const bytes = await buffer(await images.save(['a:1', 'b:1'], format));
      const other = (await temporaryImages()).images;
      await load(other, bytes);
      const ids = async (of: Images) => (await of.list()).map(({ id }) => id).sort();
      expect(await ids(other)).toEqual(await ids(images));
      expect((await other.get('a:1')).references).toEqual(['docker.io/library/a:1']);
      expect(await buffer(await images.save(['a:1', 'b:1'], format))).toEqual(bytes);
    },
  );

  test('an OCI layout is saved to an empty directory only', async () => {
    const { images, directory } = await temporaryImages();
    await load(images, saved(['a:1'], 'one'));
    const to = join(directory, 'layout');
    await images.saveTo(['a:1'], to, { format: 'oci-dir' });
    const other = (await temporaryImages()).images;
    expect((await other.load(to))[0]?.references).toEqual(['docker.io/library/a:1']);
    expect(await refusal(images.saveTo(['a:1'], to, { format: 'oci-dir' }))).toMatchObject({ code: 'ERR_EXISTS' });
  });

  test('a file that cannot be written whole is not there', async () => {
    const { images, directory } = await temporaryImages();
    await load(images, saved(['a:1'], 'one'));
    const { manifest } = (await (await images.store()).resolve('a:1'))!;
    fs.writeFileSync(
      join(directory, 'images/blobs', manifest.layers[0]!.digest.replace(':', '/')),
      Buffer.alloc(manifest.layers[0]!.size),
    );
    await expect(images.saveTo(['a:1'], join(directory, 'a.tar'))).rejects.toThrow('wrong digest');
    expect(fs.readdirSync(directory)).toEqual(['images']);
  });
});

describe('import and commit', () => {
  const changes = [
    'CMD ["sh", "-c", "x"]',
    'ENV A=1 B="two words"',
    'env C the rest',
    'EXPOSE 80 53/udp 9000-9001',
    'LABEL k=v',
    'USER 1:2',
    'VOLUME /data',
    'WORKDIR /a',
    'WORKDIR b',
    'STOPSIGNAL SIGINT',
    'HEALTHCHECK --interval=30s --retries=2 CMD true',
    'ONBUILD RUN x',
  ];

  test('an imported root file system is an image of one layer with what --change says', async () => {
    const { images } = await temporaryImages();
    const image = await images.import(Readable.from([gzipSync(layerOf('one'))], { objectMode: false }), {
      reference: 'a:1',
      changes,
      message: 'by hand',
    });
    expect(image).toMatchObject({ references: ['docker.io/library/a:1'] });
    const { Config, RootFS } = await images.inspect('a:1');
    expect(RootFS.Layers).toEqual([archives.sha256(layerOf('one'))]);
    expect(Config).toEqual({
      Cmd: ['sh', '-c', 'x'],
      Env: ['A=1', 'B=two words', 'C=the rest'],
      ExposedPorts: { '80/tcp': {}, '53/udp': {}, '9000/tcp': {}, '9001/tcp': {} },
      Labels: { k: 'v' },
      User: '1:2',
      Volumes: { '/data': {} },
      WorkingDir: '/a/b',
      StopSignal: 'SIGINT',
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 30e9, Retries: 2 },
      OnBuild: ['RUN x'],
    });
    expect(await images.history('a:1')).toMatchObject([{ comment: 'by hand', isEmpty: false }]);
  });

  test.each(['RUN x', 'EXPOSE 99999', 'USER a b', 'ENV', 'HEALTHCHECK x', 'LABEL "a'])(
    '--change %j is refused',
    async (change) => {
      const { images } = await temporaryImages();
      const attempt = images.import(Readable.from([layerOf('one')], { objectMode: false }), { changes: [change] });
      expect(await refusal(attempt)).toMatchObject({ code: 'ERR_SPEC', message: expect.stringContaining(change) });
    },
  );

  test.each([
    ['no archive', Buffer.from('hello, this is no archive at all'.repeat(40))],
    ['one that is cut short', layerOf('x'.repeat(3000)).subarray(0, 1500)],
    ['what is compressed with xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 0, 0])],
  ])('%s is not imported', async (_, bytes) => {
    const { images } = await temporaryImages();
    const attempt = images.import(Readable.from([bytes], { objectMode: false }));
    expect((await refusal(attempt)).code).toMatch(/ERR_IMAGE|ERR_UNSUPPORTED/);
    expect(await images.list()).toEqual([]);
  });

  test('a commit is the image and one layer more, and its history goes on', async () => {
    const { images } = await temporaryImages();
    await load(images, saved(['a:1'], 'one'));
    const diff = Readable.from([layerOf('two')], { objectMode: false });
    const store = await images.store();
    const made = await commitImage(store, (await store.resolve('a:1'))!, diff, {
      reference: 'a:2',
      author: 'me',
      message: 'm',
      createdBy: 'sh',
      changes: ['CMD x'],
    });
    const { Config, RootFS, Author, Comment } = await images.inspect(made.id);
    expect(RootFS.Layers).toEqual(['one', 'two'].map((content) => archives.sha256(layerOf(content))));
    expect({ Config, Author, Comment }).toEqual({
      Config: { Labels: { of: 'one' }, Cmd: ['/bin/sh', '-c', 'x'] },
      Author: 'me',
      Comment: 'm',
    });
    expect(await images.verify()).toMatchObject({ damaged: [], missing: [] });
    await images.remove('a:1');
    expect(await images.verify()).toMatchObject({ damaged: [], missing: [] });
  });
});

describe('remove and prune', () => {
  test('a name of several is taken away; the last one takes the image with it, and what others need stays', async () => {
    const { images, directory } = await temporaryImages();
    await load(images, saved(['a:1', 'a:2'], 'shared', 'one'));
    await load(images, saved(['b:1'], 'shared', 'two'));
    expect(await images.remove('a:1')).toMatchObject([
      { untagged: 'a:1' },
      { untagged: expect.stringContaining('a@sha256:') },
    ]);
    const { id } = await images.get('a:2');
    const removed = await images.remove('a:2');
    expect(removed).toContainEqual({ deleted: id });
    expect(blobs(directory)).toHaveLength(4);
    expect(await images.verify()).toMatchObject({ damaged: [], missing: [] });
  });

  test('an id takes the names of one repository; of several only by force', async () => {
    const { images, directory } = await temporaryImages();
    const [one] = await load(images, saved(['a:1', 'a:2'], 'one'));
    await images.remove(one!.id.slice(7, 19));
    const [two] = await load(images, saved(['a:1', 'b:2'], 'two'));
    expect(await refusal(images.remove(two!.id))).toMatchObject({
      code: 'ERR_STATE',
      message: expect.stringContaining('must be forced'),
    });
    await images.remove(two!.id, { force: true });
    expect(blobs(directory)).toEqual([]);
  });

  test('an image that a container uses is removed by force only, and what it is made of stays', async () => {
    const { images, directory } = await temporaryImages();
    const [image] = await load(images, saved(['a:1'], 'one'));
    use(directory, 'c1', image!.digest);
    expect(await images.get('a:1')).toMatchObject({ containers: ['c1'] });
    expect(await refusal(images.remove('a:1'))).toMatchObject({
      code: 'ERR_STATE',
      message: expect.stringContaining('c1'),
    });
    await images.remove('a:1', { force: true });
    await images.prune({ all: true, graceMs: -1000 });
    expect(blobs(directory)).toHaveLength(3);
    fs.rmSync(join(directory, 'containers'), { recursive: true });
    await images.prune({ graceMs: -1000 });
    expect(blobs(directory)).toEqual([]);
  });

  const twice = async () => {
    const { images, directory } = await temporaryImages();
    const parts = { layers: [layerOf('one')] };
    const [image] = await load(images, archives.packFiles(archives.dockerFiles(parts, ['a:1'])));
    // The same image with its layers compressed.
    expect((await load(images, ociArchive('b:1', 'one')))[0]?.id).toBe(image?.id);
    return { images, directory, id: image!.id };
  };

  test('an image that is stored by two manifests goes with the layers of both, however young they are', async () => {
    const { images, directory, id } = await twice();
    await images.remove(id, { force: true });
    expect(blobs(directory)).toEqual([]);
  });

  test('prune takes the layers of both manifests, and tells names as they are said', async () => {
    const { images, directory } = await twice();
    const { removed } = await images.prune({ all: true });
    expect(removed).toEqual(expect.arrayContaining([{ untagged: 'a:1' }, { untagged: 'b:1' }]));
    expect(blobs(directory)).toEqual([]);
  });

  test('there is no such image', async () => {
    const { images } = await temporaryImages();
    const attempts = [
      () => images.remove('a'),
      () => images.get('a'),
      () => images.inspect('a'),
      () => images.history('a'),
      () => images.tag('a', 'b'),
    ];
    for (const attempt of attempts)
      expect(await refusal(attempt())).toMatchObject({ code: 'ERR_NOT_FOUND', message: 'No such image: a' });
  });

  test('prune takes images without a name; with all, every one that no container uses and that the filter means', async () => {
    const { images, directory } = await temporaryImages();
    await load(images, saved(['a:1'], 'one'));
    await load(images, saved(['a:1'], 'two'));
    const [used] = await load(images, saved(['c:1'], 'three'));
    use(directory, 'c1', used!.digest);
    expect((await images.list({ dangling: true })).map(({ config }) => config.Labels)).toEqual([{ of: 'one' }]);
    const pruned = await images.prune();
    expect(pruned.bytes).toBeGreaterThan(0);
    expect(await images.list()).toHaveLength(2);
    await images.prune({ all: true, ...parsePruneFilters(['label=of=x'], new Date()) });
    expect(await images.list()).toHaveLength(2);
    await images.prune({ all: true, ...parsePruneFilters(['label!=of=x', 'label=of'], new Date()) });
    expect((await images.list()).map(({ references }) => references)).toEqual([['docker.io/library/c:1']]);
  });

  test('a filter of time means what was made before', async () => {
    const now = new Date('2024-01-02T00:00:00Z');
    expect(parsePruneFilters(['until=24h'], now).until).toEqual(new Date('2024-01-01T00:00:00Z'));
    expect(parsePruneFilters(['until=2024-01-01T12:00:00Z'], now).until).toEqual(new Date('2024-01-01T12:00:00Z'));
    for (const filter of ['until=soon', 'size=3', 'x'])
      expect(() => parsePruneFilters([filter], now)).toThrow('invalid filter');
  });
});

test('what happens to images is told to whoever listens', async () => {
  const { images } = await temporaryImages();
  const controller = new AbortController();
  const events = images.events({ signal: controller.signal });
  await load(images, saved(['a:1'], 'one'));
  await images.tag('a:1', 'b:1');
  await images.remove('b:1');
  const seen: string[] = [];
  for await (const { action, reference } of events) {
    seen.push(`${action} ${reference}`);
    if (seen.length === 3) controller.abort();
  }
  expect(seen).toEqual(['load docker.io/library/a:1', 'tag docker.io/library/b:1', 'untag b:1']);
});

test('images are listed by repository, name and pattern', async () => {
  const { images } = await temporaryImages();
  await load(images, saved(['a:1'], 'one'));
  await load(images, saved(['ghcr.io/x/b:1'], 'two'));
  const found = async (reference: string) => (await images.list({ reference })).length;
  expect(await Promise.all(['a', 'a:1', 'a:2', 'a:*', 'ghcr.io/x/b', '*'].map(found))).toEqual([1, 1, 0, 1, 1, 1]);
});
