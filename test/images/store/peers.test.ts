import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { expect } from 'vitest';
import { Images } from '../../../lib/images/images.ts';
import * as archives from '../../support/archives.ts';
import { testIf } from '../../support/requires.ts';
import { layerOf } from '../../support/stores.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';

const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe', encoding: 'utf8' });
const copy = (from: string, to: string) => run('skopeo', '--insecure-policy', 'copy', '-q', from, to);

async function withImage(name: string): Promise<{ images: Images; directory: string; store: string }> {
  const directory = await temporaryDirectory();
  const images = new Images({ directory });
  const config = { Cmd: ['sh'], Labels: { of: name } };
  const files = archives.dockerFiles({ layers: [layerOf('one'), layerOf(name)], config }, [name]);
  const bytes = archives.packFiles(files);
  await images.load([bytes][Symbol.iterator]() as unknown as AsyncIterable<Uint8Array>);
  return { images, directory, store: join(directory, 'images') };
}

testIf('skopeo')('skopeo reads an image of the store, and what it wrote there is found by its short name', async () => {
  const { images, directory, store } = await withImage('a:1');
  const full = 'docker.io/library/a:1';
  const inspected = JSON.parse(run('skopeo', 'inspect', '--config', `oci:${store}:${full}`)) as { config: object };
  expect(inspected.config).toEqual({ Cmd: ['sh'], Labels: { of: 'a:1' } });
  copy(`oci:${store}:${full}`, `oci:${directory}/copy:x`);

  copy(`oci:${directory}/copy:x`, `oci:${store}:b:2`);
  expect((await images.get('b:2')).id).toBe((await images.get('a:1')).id);
  await images.remove('a:1');
  await images.prune({ graceMs: -1000 });
  expect(await images.verify()).toMatchObject({ blobs: 4, damaged: [], missing: [] });
  copy(`oci:${store}:b:2`, `dir:${directory}/dir`);
  // What is taken from it stays as skopeo wrote it, and what we give is found by it.
  await images.tag('b:2', 'c:3');
  copy(`oci:${store}:docker.io/library/c:3`, `dir:${directory}/dir2`);
});

testIf('umoci')('umoci finds an image of the store, and its layers', async () => {
  const { store } = await withImage('a:1');
  expect(run('umoci', 'ls', '--layout', store)).toContain('docker.io/library/a:1');
  const stat = JSON.parse(run('umoci', 'stat', '--json', '--image', `${store}:docker.io/library/a:1`)) as object;
  expect(stat).toHaveProperty('history');
});

testIf('skopeo').each(['docker-archive', 'oci-archive'] as const)(
  'skopeo reads what is saved as %s',
  async (format) => {
    const { images, directory } = await withImage('a:1');
    const path = join(directory, 'a.tar');
    await images.saveTo(['a:1'], path, { format });
    const name = format === 'docker-archive' ? 'a:1' : 'docker.io/library/a:1';
    const config = JSON.parse(run('skopeo', 'inspect', '--config', `${format}:${path}:${name}`)) as { config: object };
    expect(config.config).toEqual({ Cmd: ['sh'], Labels: { of: 'a:1' } });
    copy(`${format}:${path}:${name}`, `oci:${directory}/layout:x`);
    const other = new Images({ directory: join(directory, 'other') });
    await other.load(join(directory, 'layout'));
    const diffIds = async (of: Images, text: string) => (await of.inspect(text)).RootFS.Layers;
    expect(await diffIds(other, 'x')).toEqual(await diffIds(images, 'a:1'));
  },
);

testIf('skopeo').each(['docker-archive', 'oci-archive'] as const)(
  'what skopeo writes as %s is loaded',
  async (format) => {
    const { images, directory, store } = await withImage('a:1');
    const path = join(directory, 'b.tar');
    copy(`oci:${store}:docker.io/library/a:1`, `${format}:${path}:b:1`);
    const [image] = await images.load(path);
    expect(image).toMatchObject({ references: ['docker.io/library/b:1'], config: { Cmd: ['sh'] } });
  },
);
