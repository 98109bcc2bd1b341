import { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { type ContainerFile, copyBaseName, ownTree, readContainerFile, readCopyDevices } from './container-file.ts';
import { copyBase } from './copy-base.ts';
import { type Base, type Difference, differences, type TreeLister } from './differences.ts';
import { asOverlay } from './fuse-marks.ts';
import { readLayerFile } from './layer-file.ts';
import { overlayBase } from './overlay-base.ts';
import { type Packed, packEntries } from './tar-pack.ts';
import { TreeReader } from './tree-reader.ts';
import { type LayerPlace, listUnion, placeOf } from './union.ts';
import { byDirectory } from './unmade.ts';

/** What a container has done to a path: added, changed or deleted it. */
export interface Change {
  /** Added, changed, or deleted. */
  readonly kind: 'A' | 'C' | 'D';
  /** Absolute, in the container. */
  readonly path: string;
}

export interface LayerReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Where the container has mounts: what was only made for them is no change. Absolute, in the container. */
  readonly mountPoints?: readonly string[] | undefined;
}

/** What a container has of its own, on top of its image; it may run meanwhile. */
export interface ContainerLayer {
  /** Digest of the image that it was made of. */
  readonly image: string;
  /** Ids of the snapshots between it and the image: what it has changed is told in comparison with them. */
  readonly snapshots: readonly string[];
  /** What it has changed, as a layer of an image: a tar archive, the same bytes for the same tree. */
  diff(options?: LayerReadOptions): Readable;
  /** The whole root file system as a tar archive. */
  export(options?: LayerReadOptions): Readable;
  /** What it has changed, by path. */
  changes(options?: LayerReadOptions): Promise<readonly Change[]>;
  /** Bytes in the files that it has changed or made. */
  size(options?: LayerReadOptions): Promise<number>;
}

/** The layer of a container that is there, made by this process or another. */
export async function openContainerLayer(host: Host, id: string): Promise<ContainerLayer> {
  const data = host.environment.dataDirectory;
  const file = await readContainerFile(`${data}/containers/${id}`);
  if (file === undefined) {
    throw new RuntsError('ERR_NOT_FOUND', `there is no root file system of the container ${id} in ${data}`, {
      hint: 'It is there for containers of an image, until they are removed.',
    });
  }
  return new Layer(host, id, file);
}

class Layer implements ContainerLayer {
  readonly image: string;
  readonly snapshots: readonly string[];
  readonly #id: string;
  readonly #host: Host;
  readonly #place: string;
  readonly #file: ContainerFile;

  constructor(host: Host, id: string, file: ContainerFile) {
    this.image = file.image;
    this.snapshots = file.snapshots ?? [];
    this.#id = id;
    this.#host = host;
    this.#place = `containers/${id}`;
    this.#file = file;
  }

  diff(options: LayerReadOptions = {}): Readable {
    const tree = this.#tree;
    return this.#archive(options, (reader) =>
      this.#differences(reader, options, (what) => ({ what, tree, at: at(tree, what) })),
    );
  }

  export(options: LayerReadOptions = {}): Readable {
    return this.#archive(options, (reader) => this.#everything(reader));
  }

  async changes(options: LayerReadOptions = {}): Promise<readonly Change[]> {
    const found: Change[] = [];
    const add = (kind: Change['kind'], path: string): void =>
      void found.push({ kind, path: `/${Buffer.from(path, 'latin1').toString('utf8')}` });
    await this.#reading(options, async (reader) => {
      for await (const each of this.#differences(reader, options, (what) => what)) {
        if (each.kind === 'entry') add(each.replaces ? 'C' : 'A', each.path);
        else if (each.kind === 'removed') add('D', each.path);
        else for (const name of each.gone) add('D', `${each.path}/${name}`);
      }
    });
    return found.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async size(options: LayerReadOptions = {}): Promise<number> {
    const counted = new Set<bigint>();
    let bytes = 0;
    await this.#reading(options, async (reader) => {
      for await (const each of this.#differences(reader, options, (what) => what)) {
        if (each.kind !== 'entry' || each.entry.type !== 'file') continue;
        const { inode, links, size } = each.entry;
        if (links > 1 && counted.has(inode)) continue;
        if (links > 1) counted.add(inode);
        bytes += size;
      }
    });
    return bytes;
  }

  /** Where its files are, below the directory of all data. */
  get #tree(): string {
    return ownTree(this.#id, this.#file.driver);
  }

  /** What is written by the kernel, and by fuse-overlayfs. */
  #lister(reader: TreeLister): TreeLister {
    const own = [this.#tree, ...snapshotPlaces(this.#file).map(({ path }) => path)];
    return this.#file.driver === 'fuse-overlayfs' ? asOverlay(reader, own) : reader;
  }

  async *#differences<T>(
    plain: TreeLister,
    { mountPoints = [] }: LayerReadOptions,
    as: (difference: Difference) => T,
  ): AsyncGenerator<T, void, undefined> {
    const relative = mountPoints.map((path) =>
      Buffer.from(path)
        .toString('latin1')
        .replace(/^\/+|\/+$/g, ''),
    );
    const reader = this.#lister(plain);
    const { base, close } = await this.#base(reader);
    try {
      for await (const each of differences(reader, base, { place: this.#tree, mountPoints: new Set(relative) })) {
        yield as(each);
      }
    } finally {
      close();
    }
  }

  async #base(reader: TreeLister): Promise<{ readonly base: Base; close(): void }> {
    if (this.#file.driver === 'copy') {
      const base = this.#copyBase();
      return { base, close: () => base.close() };
    }
    return { base: overlayBase(reader, await this.#layers()), close: () => undefined };
  }

  #copyBase(): ReturnType<typeof copyBase> {
    return copyBase(`${this.#host.environment.dataDirectory}/${this.#place}/${copyBaseName}`);
  }

  /** Those of the image, the uppermost first. */
  #layers(): Promise<readonly LayerPlace[]> {
    return imageLayers(this.#host.environment.dataDirectory, this.#file);
  }

  /** All that its root file system shows, a directory before what is in it. */
  async *#everything(plain: TreeLister): AsyncGenerator<Packed, void, undefined> {
    const reader = this.#lister(plain);
    const isCopy = this.#file.driver === 'copy';
    const unmade = isCopy ? await readCopyDevices(`${this.#host.environment.dataDirectory}/${this.#place}`) : [];
    const own: LayerPlace = { path: this.#tree, devices: byDirectory(unmade) };
    const all = isCopy ? [own] : [own, ...(await this.#layers())];
    const noted = isCopy ? this.#copyBase() : undefined;
    const pending: { path: string; layers: readonly LayerPlace[] }[] = [{ path: '', layers: all }];
    try {
      for (let here = pending.pop(); here !== undefined; here = pending.pop()) {
        const found = await listUnion(reader, here.path, here.layers);
        const notes = await noted?.list(here.path, undefined);
        const inner: typeof pending = [];
        for (const [name, { entry, layers }] of found) {
          const path = here.path === '' ? name : `${here.path}/${name}`;
          // Recorded by the uppermost layer of the image that has it.
          const recorded = layers.find((layer) => layer !== own)?.owners?.get(path);
          const owner = recorded ?? notes?.get(name)?.owner;
          const [layer] = layers as [LayerPlace];
          const what = { kind: 'entry', path, entry, replaces: false, owner } as const;
          yield { what, tree: layer.path, at: placeOf(layer, path) };
          if (entry.type === 'directory') inner.push({ path, layers });
        }
        pending.push(...inner.reverse());
      }
    } finally {
      noted?.close();
    }
  }

  async #reading<T>({ signal }: LayerReadOptions, work: (reader: TreeReader) => Promise<T>): Promise<T> {
    const directory = this.#host.environment.dataDirectory;
    const reader = await TreeReader.open(this.#host, { directory, maps: this.#file.maps, signal });
    try {
      return await work(reader);
    } finally {
      await reader.close();
    }
  }

  #archive({ signal }: LayerReadOptions, items: (reader: TreeReader) => AsyncIterable<Packed>): Readable {
    const open = () =>
      TreeReader.open(this.#host, { directory: this.#host.environment.dataDirectory, maps: this.#file.maps, signal });
    async function* bytes(): AsyncGenerator<Buffer, void, undefined> {
      const reader = await open();
      try {
        yield* packEntries(reader, items(reader));
      } finally {
        await reader.close();
      }
    }
    return Readable.from(gathered(bytes()), { objectMode: false, highWaterMark: gatheredBytes });
  }
}

/** What the root file system of a container is made of, relative to the directory of all data, the uppermost first. */
export async function openLayers(data: string, id: string, file: ContainerFile): Promise<readonly LayerPlace[]> {
  const own = { path: ownTree(id, file.driver) };
  return file.driver === 'copy' ? [own] : [own, ...(await imageLayers(data, file))];
}

/** What snapshots have changed, the uppermost first. A copy has nothing below it. */
function snapshotPlaces({ driver, snapshots = [] }: ContainerFile): LayerPlace[] {
  return driver === 'copy' ? [] : snapshots.map((id) => ({ path: ownTree(id, driver) })).reverse();
}

async function imageLayers(data: string, file: ContainerFile): Promise<readonly LayerPlace[]> {
  const { layers, maps } = file;
  const places = layers.map(async (name): Promise<LayerPlace> => {
    const path = `layers/${name}`;
    // Of the host's ids, nothing was left to be recorded.
    const layer = maps === undefined ? undefined : await readLayerFile(`${data}/${path}`);
    const owners = layer && new Map(layer.owners.map((owner) => [owner.path, owner]));
    return { path: `${path}/diff`, owners, devices: byDirectory(layer?.devices ?? []) };
  });
  return [...snapshotPlaces(file), ...(await Promise.all(places)).reverse()];
}

const at = (tree: string, what: Difference): string => placeOf({ path: tree }, what.path);

const gatheredBytes = 256 * 1024;

/** Headers are many and small: what goes on is of some size. */
async function* gathered(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  let some: Buffer[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    some.push(piece);
    bytes += piece.length;
    if (bytes < gatheredBytes) continue;
    yield Buffer.concat(some);
    some = [];
    bytes = 0;
  }
  if (bytes > 0) yield Buffer.concat(some);
}
