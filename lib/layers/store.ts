import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { RuntsError } from '../errors.ts';
import type { Handle, Host } from '../host/host.ts';
import { removeTrees, startUnpacking } from '../host/layers.ts';
import type { Maps } from '../plan/plan.ts';
import { chainIds } from './chain.ts';
import { Budget, extractLayer, type LayerSource, removeHidden } from './extract.ts';
import { keyOf, rowOf } from './id-maps.ts';
import { damagedLayer, type LayerFile, layerFileName, readLayerFile, syncNames, writeLayerFile } from './layer-file.ts';
import { LayerPaths } from './layer-paths.ts';
import { type UnpackLimits, unpackLimits } from './limits.ts';
import { Pages } from './pages.ts';
import { Remembered } from './remembered.ts';
import { type Below, givesOwners, type Inherited, type TranslatorOptions } from './translate.ts';
import { Turns } from './turns.ts';
import { type Owner, recordedOwner } from './union.ts';
import { type UnmadeDevice, UnmadeDevices } from './unmade.ts';
import { LayerView, type ViewedLayer } from './view.ts';

/** What was unpacked, or was there. */
export interface StoredLayer extends ViewedLayer {
  /** Of its directory, below that of the store. */
  readonly name: string;
  readonly file: LayerFile;
}

/** What has become of a layer. */
export interface LayerProgress {
  readonly layer: number;
  readonly digest: string;
  readonly what: 'exists' | 'extracting' | 'done';
  /** Bytes taken of it, as it is stored. */
  readonly bytes: number;
}

export interface EnsureOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LayerProgress) => void) | undefined;
  readonly limits?: Partial<UnpackLimits> | undefined;
  /** What the layers may cost, where those of one image are unpacked by several calls. */
  readonly budget?: Budget | undefined;
}

export interface LayerStoreOptions {
  /** The ids of the containers that the layers are for; undefined where they are the host's. */
  readonly maps: Maps | undefined;
  /** Device nodes can be made. */
  readonly devices: boolean;
}

/** What could not be done of layers that were merged. */
export interface Merged {
  readonly owners: ReadonlyMap<string, Owner>;
  readonly devices: readonly UnmadeDevice[];
}

interface Layers {
  readonly layers: readonly LayerSource[];
  /** Called before any of them is opened. */
  hold?(): Promise<void>;
}

/** The highest id that a container has, unless it is said otherwise: what root unpacks, or what is only recorded, is for any. */
const idMax = 65535;

/** Layers that are unpacked at once: more only wait for the disk. */
const extractionsMax = 3;
const lockPauseMsMax = 20;
const partialPrefix = '.partial-';
/** How many layers are known without reading what they are; and how many images, by their layers, with what was read of them. */
const layersMax = 512;
const viewsMax = 32;

/**
 * Layers of images, each unpacked once, in a directory of its own: `<chain id>/diff`, and what it is in `layer.json`.
 *
 * A layer is made under another name, and has its own when it is whole. Of several processes that want the same one, the
 * first unpacks it and the others wait; what a killed one has left is removed by the next. Layers for containers with
 * other ids are other layers, since owners are part of what is on disk.
 */
export class LayerStore {
  readonly directory: string;
  readonly #host: Host;
  readonly #options: LayerStoreOptions;
  readonly #suffix: string;
  readonly #known = new Remembered<StoredLayer>(layersMax);
  readonly #views = new Map<string, { readonly layers: readonly StoredLayer[]; readonly view: LayerView }>();

  private constructor(host: Host, directory: string, options: LayerStoreOptions) {
    this.#host = host;
    this.directory = directory;
    this.#options = options;
    this.#suffix = options.maps === undefined ? '' : `-${keyOf(options.maps)}`;
  }

  /** Opens the store of a directory, which is made where it is not there; the one above it must be private. */
  static async open(host: Host, directory: string, options: LayerStoreOptions): Promise<LayerStore> {
    await mkdir(`${directory}/locks`, { recursive: true, mode: 0o700 });
    return new LayerStore(host, directory, options);
  }

  /** The names that the layers of an image with these diff ids have here, the lowest first. */
  namesOf(diffIds: readonly string[]): string[] {
    return chainIds(diffIds).map((id) => `${id.slice(id.indexOf(':') + 1)}${this.#suffix}`);
  }

  /** The layers, the lowest first, where all of them are here. */
  async existing(image: Layers): Promise<readonly StoredLayer[] | undefined> {
    const here = await this.#allExisting(image, {});
    return isWhole(here) ? here : undefined;
  }

  /** Unpacks the layers that are not here yet, several at once; the lowest first. */
  async ensure(image: Layers, options: EnsureOptions = {}): Promise<readonly StoredLayer[]> {
    const diffIds = image.layers.map(({ diffId }) => diffId);
    const names = this.namesOf(diffIds);
    const here = await this.#allExisting(image, options);
    if (isWhole(here)) return here;
    await image.hold?.();
    const chain = chainIds(diffIds);
    const stop = new AbortController();
    const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    const budget = options.budget ?? new Budget({ ...unpackLimits, ...options.limits });
    const turns = new Turns(extractionsMax);
    const work: Promise<StoredLayer>[] = [];
    for (const [index, layer] of image.layers.entries()) {
      const below = work.slice().reverse();
      const job = { layer, index, count: image.layers.length, name: names[index]!, chain, below, budget, signal };
      const found = here[index];
      work.push(found === undefined ? turns.take(() => this.#locked(job, options)) : Promise.resolve(found));
    }
    for (const each of work) each.catch((error: unknown) => stop.abort(error));
    const outcomes = await Promise.allSettled(work);
    if (options.signal?.aborted) throw canceled(options.signal.reason);
    const failed = outcomes.find((each) => each.status === 'rejected' && stop.signal.reason === each.reason);
    if (failed?.status === 'rejected') throw failed.reason;
    return Promise.all(work);
  }

  /**
   * Applies layers to one directory, from the lowest on: a root file system of its own, without a union mount. Gives
   * what was recorded: owners that were not given, and devices that were not made.
   */
  async merge(image: Layers, directory: string, { signal, limits }: EnsureOptions = {}): Promise<Merged> {
    const budget = new Budget({ ...unpackLimits, ...limits });
    await image.hold?.();
    // The directory itself has what lower layers have.
    const below = { inherited: async () => undefined, linked: async () => undefined, has: async () => false };
    const owned = new Map<string, Owner>();
    const unmade = new UnmadeDevices();
    const memory = new Pages(dirname(directory));
    try {
      const translator = { ...this.#translator('merged', memory), owned, unmade };
      for (const [index, layer] of image.layers.entries()) {
        const extraction = { layer, index, count: image.layers.length, translator, budget, signal, below };
        // First what a layer takes away from those below it: of its own, it takes nothing.
        if (index > 0) await removeHidden(extraction, await this.#unpacking(directory));
        await extractLayer(extraction, await this.#unpacking(directory));
      }
    } finally {
      memory.close();
    }
    return { owners: owned, devices: unmade.all() };
  }

  /** What layers, the lowest first, show together: what was read of it for one container is known for the next. */
  view(layers: readonly StoredLayer[]): LayerView {
    const key = layers.map(({ name }) => name).join();
    const known = this.#views.get(key);
    if (known?.layers.every((layer, i) => layer === layers[i])) return known.view;
    const view = new LayerView([...layers].reverse());
    const [oldest] = this.#views.keys();
    if (this.#views.size >= viewsMax && oldest !== undefined) this.#views.delete(oldest);
    this.#views.set(key, { layers, view });
    return view;
  }

  /**
   * Removes the layers that nobody names, and what killed processes have left. `inUse` is asked while no container is being
   * made: it gives the names of the layers of all that are there.
   */
  async collect(inUse: () => Promise<ReadonlySet<string>>): Promise<readonly string[]> {
    const doomed = await this.exclusively(async () => {
      const used = await inUse();
      const names = (await readdir(this.directory)).filter((name) => /^[0-9a-f]{64}/.test(name) && this.#isOurs(name));
      const unused = names.filter((name) => !used.has(name));
      // Out of everybody's sight; the removal itself may take long.
      for (const name of unused) await this.#hide(name);
      return unused;
    });
    await this.#hideAbandoned();
    const left = (await readdir(this.directory)).filter((name) => name.startsWith('.removed-') && this.#isOurs(name));
    if (left.length > 0) await removeTrees(this.#host, this.directory, left, this.#options.maps);
    return doomed;
  }

  /** Out of everybody's sight. */
  async #hide(name: string): Promise<void> {
    const random = randomBytes(6).toString('hex');
    const hidden = `.removed-${random}.${name.replace(partialPrefix, '')}`;
    await rename(`${this.directory}/${name}`, `${this.directory}/${hidden}`);
  }

  /** Whoever makes a layer has its lock: without, what there is of it was left by a process that was killed. */
  async #hideAbandoned(): Promise<void> {
    for (const name of (await readdir(this.directory)).filter((each) => each.startsWith(partialPrefix))) {
      const lock = await this.#host.files
        .lock(`${this.directory}/locks/${name.slice(partialPrefix.length)}`)
        .catch(() => undefined);
      if (lock === undefined) continue;
      try {
        if (this.#isOurs(name)) await this.#hide(name);
      } finally {
        lock.close();
      }
    }
  }

  /** Keeps layers from being collected while it is noted who uses them. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const lock = await this.#lock('store', undefined);
    try {
      return await work();
    } finally {
      lock.close();
    }
  }

  /** Whether it has owners that we may remove the files of. */
  #isOurs(name: string): boolean {
    if (this.#suffix !== '') return name.endsWith(this.#suffix);
    return !name.replace(/^\.(removed|partial)-/, '').includes('-');
  }

  #allExisting({ layers }: Layers, options: EnsureOptions): Promise<readonly (StoredLayer | undefined)[]> {
    const names = this.namesOf(layers.map(({ diffId }) => diffId));
    return Promise.all(layers.map((layer, index) => this.#existing({ layer, index, name: names[index]! }, options)));
  }

  async #existing(
    { name, index, layer }: Pick<Job, 'name' | 'index' | 'layer'>,
    { onProgress }: EnsureOptions,
  ): Promise<StoredLayer | undefined> {
    const place = `${this.directory}/${name}`;
    const stored = await this.#known.of(`${place}/${layerFileName}`, name, async () => {
      const file = await readLayerFile(place);
      return file && this.#stored(name, file);
    });
    if (stored !== undefined) onProgress?.({ layer: index, digest: layer.digest, what: 'exists', bytes: 0 });
    return stored;
  }

  #stored(name: string, file: LayerFile): StoredLayer {
    return { name, file, diff: `${this.directory}/${name}/diff`, opaque: new Set(file.opaque) };
  }

  /** As the only process that does. */
  async #locked(job: Job, options: EnsureOptions): Promise<StoredLayer> {
    const lock = await this.#lock(job.name, job.signal);
    try {
      return (await this.#existing(job, options)) ?? (await this.#make(job, options));
    } finally {
      lock.close();
    }
  }

  async #lock(name: string, signal: AbortSignal | undefined): Promise<Handle> {
    for (let pauseMs = 1; ; pauseMs = Math.min(lockPauseMsMax, pauseMs * 2)) {
      signal?.throwIfAborted();
      try {
        return await this.#host.files.lock(`${this.directory}/locks/${name}`);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      }
      await setTimeout(pauseMs, undefined, signal === undefined ? {} : { signal });
    }
  }

  async #make(job: Job, { onProgress }: EnsureOptions): Promise<StoredLayer> {
    const { layer, index, count, name, chain, below, budget, signal } = job;
    const temporary = `${partialPrefix}${name}`;
    const place = `${this.directory}/${temporary}`;
    if ((await this.#host.files.kind(`${this.directory}/${name}`)) !== undefined)
      throw damagedLayer(`${this.directory}/${name}`);
    const remove = (): Promise<void> => removeTrees(this.#host, this.directory, [temporary], this.#options.maps);
    // Left by a process that was killed.
    await remove();
    await mkdir(place, { mode: 0o700 });
    await mkdir(`${place}/diff`, { mode: 0o755 });
    const memory = new Pages(place);
    try {
      let bytes = 0;
      const tell = (more: number): void => {
        bytes += more;
        onProgress?.({ layer: index, digest: layer.digest, what: 'extracting', bytes });
      };
      const translator = this.#translator('overlay', memory);
      const extraction = {
        ...{ layer, index, count, translator, budget, signal, onBytes: tell },
        below: this.#below(below),
      };
      const found = await extractLayer(extraction, await this.#unpacking(`${place}/diff`));
      const { opaque, attributes, skipped, owners, unmade } = found.translator;
      const file: LayerFile = {
        ...{ version: 1, chainId: chain[index]!, parent: chain[index - 1], diffId: layer.diffId, digest: layer.digest },
        ...{ size: found.size, opaque: [...opaque], skipped, owners, devices: unmade.all() },
        attributes: [...attributes].map(([path, xattrs]) => [path, [...xattrs]] as const),
      };
      await writeLayerFile(place, file);
      // A layer is nothing without those below it: it has its name after them.
      await below[0];
      await rename(place, `${this.directory}/${name}`);
      await syncNames(this.directory);
      onProgress?.({ layer: index, digest: layer.digest, what: 'done', bytes });
      return this.#stored(name, file);
    } catch (error) {
      await remove().catch(() => undefined);
      throw error;
    } finally {
      memory.close();
    }
  }

  #unpacking(directory: string) {
    return startUnpacking(this.#host, { directory, maps: this.#options.maps });
  }

  #translator(form: TranslatorOptions['form'], memory: Pages): TranslatorOptions {
    const { maps, devices } = this.#options;
    const isGiven = givesOwners(maps);
    return {
      form,
      devices,
      paths: new LayerPaths(memory),
      owners: isGiven ? 'given' : 'recorded',
      isMapped: (kind, id) =>
        maps === undefined || !isGiven ? id <= idMax : rowOf(maps[kind], id, 'container') !== undefined,
    };
  }

  /** What is asked of the layers below one; they may not be there yet. */
  #below(layers: readonly Promise<StoredLayer>[]): Below {
    let view: Promise<LayerView> | undefined;
    const viewed = () => (view ??= Promise.all(layers).then((stored) => new LayerView(stored, { remembered: 256 })));
    return {
      inherited: async (name) => this.#inherited(name, await viewed()),
      // Layers may name a directory by a link that a lower one has: it is the link's directory that they mean.
      linked: async (name) =>
        layers.length > 0 && (await (await viewed()).entry(name))?.kind === 'link'
          ? (await viewed()).directory(name)
          : undefined,
      has: async (name) => layers.length > 0 && (await (await viewed()).entry(name)) !== undefined,
    };
  }

  /** A directory that a layer only puts something into is as lower layers have it: a union mount shows the upper one's owner. */
  async #inherited(name: string, view: LayerView): Promise<Inherited | undefined> {
    const found = await view.entry(name);
    if (found?.kind !== 'directory') return undefined;
    const layer = found.layers[0] as StoredLayer;
    const xattrs = new Map(layer.file.attributes?.find(([path]) => path === name)?.[1]);
    const { maps } = this.#options;
    const inside = (kind: 'uids' | 'gids', id: number): number | undefined => {
      if (maps === undefined) return id;
      const row = rowOf(maps[kind], id, 'host');
      return row && id - row.host + row.container;
    };
    const isGiven = givesOwners(maps);
    return {
      mode: found.mode,
      mtime: Number(found.mtimeNs / 1_000_000_000n),
      nanoseconds: Number(found.mtimeNs % 1_000_000_000n),
      xattrs,
      ...(isGiven
        ? { uid: inside('uids', found.uid), gid: inside('gids', found.gid) }
        : { owner: recordedOwner(layer.file, name) }),
    };
  }
}

const isWhole = (layers: readonly (StoredLayer | undefined)[]): layers is readonly StoredLayer[] =>
  layers.every((layer) => layer !== undefined);

const canceled = (cause: unknown) => new RuntsError('ERR_CANCELED', 'canceled while unpacking an image', { cause });

/** One layer to be made. */
interface Job {
  readonly layer: LayerSource;
  readonly index: number;
  readonly count: number;
  readonly name: string;
  readonly chain: readonly string[];
  /** The nearest first. */
  readonly below: readonly Promise<StoredLayer>[];
  readonly budget: Budget;
  readonly signal: AbortSignal;
}
