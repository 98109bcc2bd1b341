import { chmod, mkdir, open, symlink } from 'node:fs/promises';
import type { ImageRoot, RootPlace, Standing } from '../host/image.ts';
import type { OverlayLayers } from '../host/layers.ts';
import type { Maps } from '../plan/plan.ts';
import {
  type ContainerFile,
  containerFileName,
  copyBaseName,
  writeContainerFile,
  writeCopyDevices,
} from './container-file.ts';
import { writeCopyBase } from './copy-base.ts';
import { chooseDriver, type GraphDriver, serverOf, serverPlace } from './drivers.ts';
import type { LayerSource } from './extract.ts';
import { limitContainer } from './quota.ts';
import { type EnsureOptions, LayerStore } from './store.ts';
import { TreeReader } from './tree-reader.ts';
import type { Owner } from './union.ts';
import type { LayerView } from './view.ts';

/** An image whose container is to be made. */
export interface RootRequest extends Omit<RootPlace, 'cancel'> {
  readonly image: RootImage;
  readonly driver?: GraphDriver | undefined;
}

export interface RootImage {
  readonly digest: string;
  readonly layers: readonly LayerSource[];
  /** Keeps them in the store, before one is opened: of a layer that is unpacked already none is. */
  hold?(): Promise<void>;
}

/** What is the same for one container and the next: stores of layers that are open, and drivers that were chosen. */
export class RootMemory {
  readonly #stores = new Map<string, Promise<LayerStore>>();
  readonly #drivers = new Map<string, Promise<GraphDriver>>();

  store({ host, facts }: RootRequest, maps: Maps | undefined): Promise<LayerStore> {
    const directory = `${host.environment.dataDirectory}/layers`;
    return once(this.#stores, JSON.stringify([directory, maps]), () =>
      LayerStore.open(host, directory, { maps, devices: facts.privileged }),
    );
  }

  driver({ host, facts, maps, mappable, servable, driver }: RootRequest): Promise<GraphDriver> {
    const data = host.environment.dataDirectory;
    const asked = mappable ? driver : 'copy';
    return once(this.#drivers, JSON.stringify([data, maps, asked, servable]), () =>
      chooseDriver({ host, facts, data, maps, asked, servable }),
    );
  }
}

/** What has failed is tried again. */
function once<T>(known: Map<string, Promise<T>>, key: string, find: () => Promise<T>): Promise<T> {
  const found = known.get(key) ?? find();
  known.set(key, found);
  found.catch(() => known.delete(key));
  return found;
}

/** Makes the root file system of a container, limited where it is to be. */
export async function makeRoot(
  request: RootRequest,
  options: EnsureOptions,
  memory: RootMemory = new RootMemory(),
): Promise<ImageRoot> {
  return limited(request, () => build(request, options, memory));
}

/** Makes a root file system in a directory that is limited, where it is to be. */
export async function limited(place: Omit<RootPlace, 'cancel'>, make: () => Promise<ImageRoot>): Promise<ImageRoot> {
  if (place.bytesMax === undefined) return make();
  const { release } = await limitContainer(place, place.bytesMax);
  try {
    return { ...(await make()), release };
  } catch (error) {
    await release().catch(() => undefined);
    throw error;
  }
}

/** Its layers, where they are not here yet, and a place for what it changes. */
async function build(request: RootRequest, options: EnsureOptions, memory: RootMemory): Promise<ImageRoot> {
  const { host, facts, id, maps, refuse } = request;
  const image = {
    ...request.image,
    hold: async (): Promise<void> => {
      refuse?.();
      await request.image.hold?.();
    },
  };
  // What root of the host unpacks has the container's ids as they are; the mount of it has others.
  const stored = facts.privileged ? undefined : maps;
  const store = await memory.store(request, stored);
  const driver = await memory.driver(request);
  const names = driver !== 'copy' ? store.namesOf(image.layers.map(({ diffId }) => diffId)) : [];
  const place = `${host.environment.dataDirectory}/containers/${id}`;
  const note: ContainerFile = { ...request.note, image: image.digest, driver, layers: names, maps: stored };
  const writing = writeContainerFile(place, note, request.reserved);
  writing.catch(() => undefined);
  // From there on its layers are not collected; those that are there meanwhile are there to stay.
  const noted = store.exclusively(async () => {
    const put = await writing;
    const [found] = await Promise.all([driver === 'copy' ? undefined : store.existing(image), put()]);
    return found;
  });
  if (driver !== 'copy')
    return stand(request, driver, {
      lowers: names.map((name) => `${name}/diff`),
      view: noted.then(async (found) => store.view(found ?? (await store.ensure(image, options)))),
    });
  await noted;
  const path = `${place}/rootfs`;
  await mkdir(path, { mode: 0o755 });
  const { owners, devices } = await store.merge(image, path, options);
  await writeCopyDevices(place, devices);
  await noteCopy(request, stored, owners);
  return { path, read: (file, bytesMax) => host.files.readBelow(path, file, bytesMax) };
}

/** What a copy was, before anything is changed in it. */
export async function noteCopy(
  { host, id }: Pick<RootPlace, 'host' | 'id'>,
  maps: Maps | undefined,
  owners: ReadonlyMap<string, Owner>,
): Promise<void> {
  const place = `${host.environment.dataDirectory}/containers/${id}`;
  const reader = await TreeReader.open(host, { directory: place, maps });
  try {
    await writeCopyBase(reader, 'rootfs', `${place}/${copyBaseName}`, owners);
  } finally {
    await reader.close();
  }
}

interface Lowers {
  /** The lowest first, relative to the directory of layers. */
  readonly lowers: readonly string[];
  /** What they show together, once they are there. */
  readonly view: Promise<LayerView>;
}

/** Puts what a union mount wants into the directory of a container. */
export async function stand(
  { host, id, reserved }: Pick<RootPlace, 'host' | 'id' | 'reserved'>,
  driver: GraphDriver,
  { lowers, view: coming }: Lowers,
): Promise<ImageRoot> {
  const data = host.environment.dataDirectory;
  const place = `${data}/containers/${id}`;
  const server = serverOf(host, driver, `../${serverPlace}`);
  const direct = server === undefined ? directLayers(id, lowers) : undefined;
  const own = reserved === undefined ? unionDirectories : [];
  const directories = [...own, ...(direct ? [] : ['lower']), ...(server ? [serverPlace] : [])];
  // One that was made ahead is in its place by the time that the view is known.
  const placed = reserved === undefined ? undefined : coming;
  const make = (name: string) => mkdir(`${place}/${name}`, { mode: 0o755 });
  await all([
    coming,
    ...directories.map((name) => (placed === undefined ? make(name) : placed.then(() => make(name)))),
  ]);
  const view = await coming;
  // The root directory is the uppermost one's, like every other.
  const mode = await view.mode();
  const standing = standingOf(mode);
  if (reserved?.form !== standing.form) await chmod(`${place}/upper`, mode);
  const found = direct ?? (await linkedLayers(place, id, lowers));
  return {
    path: `${place}/upper`,
    overlay: { data, ...found, server },
    read: (file, bytesMax) => view.read(file, bytesMax),
    standing,
  };
}

/** Each container has its own. */
const unionDirectories = ['work', 'upper'];

/** What a container has whose root directory has this mode. */
const standingOf = (mode: number): Standing => ({
  form: `union of mode ${mode.toString(8)}`,
  async make(place) {
    for (const name of unionDirectories) await mkdir(`${place}/${name}`, { mode: 0o755 });
    await chmod(`${place}/upper`, mode);
    const file = await open(`${place}/${containerFileName}`, 'r+');
    return { write: (text) => file.writeFile(text), close: () => void file.close().catch(() => undefined) };
  },
});

type Named = Pick<OverlayLayers, 'base' | 'lower' | 'upper' | 'work'>;

/** The kernel takes so much at once. */
const namesBytesMax = 254;

/** A few layers by their own names, which are long; undefined where they are too many for that. */
function directLayers(id: string, lowers: readonly string[]): Named | undefined {
  const lower = [...lowers].reverse();
  const place = `../containers/${id}`;
  const named = { base: 'layers', lower, upper: `${place}/upper`, work: `${place}/work` };
  // An overlay needs a lower layer, and an image of no layers has none.
  return lower.length > 0 && lower.join(':').length <= namesBytesMax && place.length < namesBytesMax / 2
    ? named
    : undefined;
}

/** Layers by links with short names, in the directory of the container. */
async function linkedLayers(place: string, id: string, lowers: readonly string[]): Promise<Named> {
  if (lowers.length === 0) await mkdir(`${place}/empty`, { mode: 0o755 });
  const targets = lowers.length === 0 ? ['../empty'] : lowers.map((name) => `../../../layers/${name}`).reverse();
  const lower = targets.map((_, i) => i.toString(36));
  await all(lower.map((name, i) => symlink(targets[i]!, `${place}/lower/${name}`)));
  return { base: `containers/${id}/lower`, lower, upper: '../upper', work: '../work' };
}

/** Nothing is still being made once this has failed: what there is is removed then. */
async function all(work: readonly Promise<unknown>[]): Promise<void> {
  for (const each of await Promise.allSettled(work)) if (each.status === 'rejected') throw each.reason;
}
