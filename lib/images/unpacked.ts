import { readdir, stat } from 'node:fs/promises';
import type { Host } from '../host/host.ts';
import { privateDirectory, usualMaps } from '../host/image.ts';
import { chooseDriver, type GraphDriver } from '../layers/drivers.ts';
import type { LayerSource } from '../layers/extract.ts';
import { layersInUse } from '../layers/in-use.ts';
import { type EnsureOptions, LayerStore } from '../layers/store.ts';
import type { Facts } from '../plan/facts.ts';

export { type GraphDriver, graphDrivers } from '../layers/drivers.ts';

export interface UnpackedOptions {
  readonly host: Host;
  readonly facts: () => Promise<Facts>;
  readonly driver?: GraphDriver | undefined;
}

/** A clock that the kernel reads less often than we read ours. */
const clockSlackMs = 1000;

/** The layers of stored images as directories, for containers with the ids that this user's containers usually have. */
export class UnpackedLayers {
  readonly #options: UnpackedOptions;
  #opened: Promise<LayerStore | undefined> | undefined;

  constructor(options: UnpackedOptions) {
    this.#options = options;
  }

  get host(): Host {
    return this.#options.host;
  }

  /** Unpacks the layers that are not there yet. Where nothing is kept unpacked, nothing is done. */
  async ensure(layers: readonly LayerSource[], options: EnsureOptions): Promise<void> {
    await (await this.#open())?.ensure({ layers }, options);
  }

  /** Whether layers are kept unpacked here, for containers to share. */
  async isKept(): Promise<boolean> {
    return (await this.#open()) !== undefined;
  }

  /**
   * Removes what neither a container nor an image needs; `needed` gives the layers of each image. What is younger than
   * `since` stays: somebody is at work with an image that has no name yet.
   */
  async collect(needed: () => Promise<readonly (readonly string[])[]>, since: number | undefined): Promise<void> {
    const store = await this.#open();
    await store?.collect(async () => {
      const [used, images, young] = await Promise.all([
        layersInUse(`${this.#data}/containers`),
        needed(),
        youngerThan(store.directory, since),
      ]);
      return new Set([...used, ...young, ...images.flatMap((diffIds) => store.namesOf(diffIds))]);
    });
  }

  get #data(): string {
    return this.#options.host.environment.dataDirectory;
  }

  #open(): Promise<LayerStore | undefined> {
    this.#opened ??= this.#find();
    return this.#opened;
  }

  /** Who cannot make containers here may keep images all the same. */
  async #find(): Promise<LayerStore | undefined> {
    const { host, facts: probe, driver: asked } = this.#options;
    try {
      const facts = await probe();
      const { stored, container } = usualMaps(facts);
      await privateDirectory(host, `${this.#data}/layers`, 'a place for layers');
      const store = await LayerStore.open(host, `${this.#data}/layers`, { maps: stored, devices: facts.privileged });
      const driver = await chooseDriver({ host, facts, data: this.#data, maps: container, asked });
      return driver === 'copy' ? undefined : store;
    } catch {
      return undefined;
    }
  }
}

async function youngerThan(directory: string, since: number | undefined): Promise<readonly string[]> {
  if (since === undefined) return [];
  const names = await readdir(directory);
  const stats = await Promise.all(names.map((name) => stat(`${directory}/${name}`).catch(() => undefined)));
  return names.filter((_, i) => (stats[i]?.ctimeMs ?? 0) > since - clockSlackMs);
}
