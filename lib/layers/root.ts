import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import type { ImageRoot, RootPlace } from '../host/image.ts';
import { chooseDriver, type GraphDriver } from './drivers.ts';
import type { LayerSource } from './extract.ts';
import { type EnsureOptions, LayerStore, type StoredLayer } from './store.ts';
import { LayerView } from './view.ts';

/** An image whose container is to be made. */
export interface RootRequest extends Omit<RootPlace, 'cancel'> {
  readonly image: { readonly digest: string; readonly layers: readonly LayerSource[] };
  readonly driver?: GraphDriver | undefined;
}

/** Makes the root file system of a container: its layers, where they are not here yet, and a place for what it changes. */
export async function makeRoot(request: RootRequest, options: EnsureOptions): Promise<ImageRoot> {
  const { host, facts, id, image, maps } = request;
  const data = host.environment.dataDirectory;
  // What root of the host unpacks has the container's ids as they are; the mount of it has others.
  const stored = facts.privileged ? undefined : maps;
  const store = await LayerStore.open(host, `${data}/layers`, { maps: stored, devices: facts.privileged });
  const driver = await chooseDriver(host, facts, data, maps, request.mappable ? request.driver : 'copy');
  const names = driver === 'overlay' ? store.namesOf(image) : [];
  const place = `${data}/containers/${id}`;
  // Before the layers are looked for: from here on they are not collected.
  const note = JSON.stringify({ image: image.digest, driver, layers: names });
  await store.exclusively(() => writeFile(`${place}/container.json`, note, { flag: 'wx', mode: 0o600 }));
  if (driver === 'overlay') return overlay(request, await store.ensure(image, options));
  const path = `${place}/rootfs`;
  await mkdir(path, { mode: 0o755 });
  await store.merge(image, path, options);
  return { path, read: (file, bytesMax) => host.files.readBelow(path, file, bytesMax) };
}

async function overlay({ host, id }: RootRequest, layers: readonly StoredLayer[]): Promise<ImageRoot> {
  const data = host.environment.dataDirectory;
  const base = `containers/${id}`;
  const place = `${data}/${base}`;
  const top = [...layers].reverse();
  const view = new LayerView(top);
  // The root directory is the uppermost one's, like every other.
  const mode = (await view.entry(''))?.mode ?? 0o755;
  await Promise.all(['lower', 'empty', 'work'].map((name) => mkdir(`${place}/${name}`, { mode: 0o755 })));
  await mkdir(`${place}/upper`);
  await chmod(`${place}/upper`, mode);
  // An overlay needs a lower layer, and an image of no layers has none.
  const targets = top.length === 0 ? ['../empty'] : top.map(({ name }) => `../../../layers/${name}/diff`);
  const lower = targets.map((_, i) => i.toString(36));
  await Promise.all(lower.map((name, i) => symlink(targets[i]!, `${place}/lower/${name}`)));
  return {
    path: `${place}/upper`,
    overlay: { data, base: `${base}/lower`, lower, upper: '../upper', work: '../work' },
    read: (file, bytesMax) => view.read(file, bytesMax),
  };
}
