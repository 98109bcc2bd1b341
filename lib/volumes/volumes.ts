import { RuntsError, specError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { Lifetime } from '../host/lifetime.ts';
import { messageOf } from '../host/undo.ts';
import { unlessAborted, type WaitOptions } from '../node/aborted.ts';
import type { Maps } from '../plan/plan.ts';
import { anyText, closed, fine, isObject, issuesOf, record as recordOf } from '../spec/shape.ts';
import type { DriverVolume, VolumeDriver } from './driver.ts';
import { Drivers } from './drivers.ts';
import { isMeant, type VolumeFilter } from './filter.ts';
import type { VolumeLimits } from './limits.ts';
import { localDriver, localSource } from './local.ts';
import { newVolumeName } from './names.ts';
import { placesOf } from './plugins/discovery.ts';
import type { VolumeRecord } from './record.ts';
import { bytesBelow } from './size.ts';
import { type Held, noSuchVolume, VolumeStore } from './store.ts';
import type { Use } from './uses.ts';
import type { Volume, VolumeOptions, VolumesPruned } from './volume.ts';

export type { DriverVolume, MountRequest, VolumeDriver, VolumeRequest } from './driver.ts';
export type { VolumeFilter } from './filter.ts';
export type { VolumeLimits } from './limits.ts';
export type { Volume, VolumeOptions, VolumesPruned } from './volume.ts';

export interface VolumesOptions {
  readonly host: Host;
  /** The ids whose files are in the volumes, where they are not ours to remove. */
  readonly maps: () => Promise<Maps | undefined>;
  readonly limits?: VolumeLimits | undefined;
  /** Directories with `.sock`, `.spec` and `.json` files of plugins, before Docker's. */
  readonly plugins?: readonly string[] | undefined;
  /** Hears of volumes that come and go. */
  readonly tell?: ((event: VolumeEvent) => void) | undefined;
  /** What is made by way of this object goes with it; undefined: it stays. */
  readonly lifetime?: Lifetime | undefined;
}

/** A volume was made, or removed. */
export interface VolumeEvent {
  readonly type: 'volume';
  readonly action: 'create' | 'remove';
  /** Its name. */
  readonly id: string;
  readonly at: Date;
}

/** What `volumes.create` makes. */
export interface CreateVolume extends VolumeOptions<VolumeDriver> {}

/** How `volumes.remove` takes a volume away. */
export interface RemoveVolume extends WaitOptions {
  /** One that is not there is no error, and one whose driver fails is forgotten. Default `false`. */
  readonly force?: boolean | undefined;
}

/** What is removed by `prune`; after its signal, no other. */
export interface PruneVolumes extends VolumeFilter, WaitOptions {
  /** Also those with a name. Default `false`. */
  readonly all?: boolean | undefined;
}

/** Everything that is there, and why not everything could be seen. */
export interface VolumeSurvey {
  readonly volumes: readonly Volume[];
  /** A line for each plugin that could not be asked. */
  readonly warnings: readonly string[];
}

/** The volumes of a data directory, and those of plugins. */
export class Volumes {
  readonly #host: Host;
  readonly #maps: VolumesOptions['maps'];
  /** What keeps the records. */
  readonly store: VolumeStore;
  readonly #drivers: Drivers;
  readonly #listener: VolumesOptions['tell'];

  constructor({ host, maps, limits, plugins = [], tell, lifetime }: VolumesOptions) {
    this.#host = host;
    this.#maps = maps;
    this.store = new VolumeStore({ host, maps, limits, lifetime });
    this.#drivers = new Drivers(placesOf(plugins));
    this.#listener = tell;
  }

  /**
   * Makes a volume. One of the same name, driver and options is given as it is; ERR_EXISTS where the others differ, and
   * ERR_STATE where there are as many volumes as there may be.
   */
  create(options: CreateVolume = {}, { signal }: WaitOptions = {}): Promise<Volume> {
    return unlessAborted(signal, () => this.#create(options));
  }

  async #create(options: CreateVolume): Promise<Volume> {
    checkOptions(options);
    const { name, driver, labels = {} } = options;
    if (typeof driver === 'object') this.#drivers.add(driver);
    const wanted = {
      driver: typeof driver === 'object' ? driver.name : (driver ?? localDriver),
      options: { ...options.options },
    };
    const record: VolumeRecord = {
      ...{ version: 1, name: name ?? newVolumeName(), ...wanted, labels: { ...labels }, scope: 'local' },
      ...{ created: new Date(this.#host.clock.now()).toISOString(), anonymous: name === undefined },
    };
    const made = await this.#add(record);
    const isAsked = driver !== undefined || options.options !== undefined;
    if (!made.isNew && isAsked && !isSame(made.record, wanted)) throw conflict(made.record, wanted);
    return this.#shown(made.record, []);
  }

  /** A volume by its name. ERR_NOT_FOUND where there is none. */
  get(name: string, { signal }: WaitOptions = {}): Promise<Volume> {
    return unlessAborted(signal, () => this.#get(name));
  }

  async #get(name: string): Promise<Volume> {
    const record = await this.store.get(name);
    if (record !== undefined) {
      const users = (await this.store.users()).get(name) ?? [];
      return this.#shown(record, users, await this.#told(record));
    }
    const found = await this.#elsewhere(name);
    if (found === undefined) throw noSuchVolume(name);
    return this.#foreign(found.driver, found.volume);
  }

  /** The volumes that are here, and those that plugins have. What plugins do wrong, `survey` tells. */
  async list(filter: VolumeFilter = {}, options: WaitOptions = {}): Promise<readonly Volume[]> {
    return (await this.survey(filter, options)).volumes;
  }

  /** The same, with a line for each plugin that could not be asked. */
  survey(filter: VolumeFilter = {}, { signal }: WaitOptions = {}): Promise<VolumeSurvey> {
    return unlessAborted(signal, () => this.#survey(filter));
  }

  async #survey(filter: VolumeFilter): Promise<VolumeSurvey> {
    const users = await this.store.users();
    const records = (await this.store.list()).filter(({ making }) => making === undefined);
    const volumes = records.map((record) => this.#shown(record, users.get(record.name) ?? []));
    const known = new Set(volumes.map(({ name }) => name));
    const warnings: string[] = [];
    const isAsked = filter.driver !== localDriver;
    for (const name of isAsked ? await this.#drivers.names() : []) {
      if (filter.driver !== undefined && filter.driver !== name) continue;
      try {
        const driver = await this.#drivers.get(name);
        for (const volume of (await driver.list?.()) ?? []) {
          if (!known.has(volume.name)) volumes.push(this.#foreign(driver, volume));
          known.add(volume.name);
        }
      } catch (error) {
        warnings.push(messageOf(error));
      }
    }
    const found = volumes.filter((volume) => isMeant(volume, filter));
    return { volumes: found.sort((a, b) => (a.name < b.name ? -1 : 1)), warnings };
  }

  /**
   * Removes a volume and what is in it. ERR_STATE where containers use it, with their names. With `force` one that is not
   * there is no error, and one whose driver fails is forgotten.
   */
  remove(name: string, { force = false, signal }: RemoveVolume = {}): Promise<void> {
    return unlessAborted(signal, () => this.#removeNamed(name, force));
  }

  async #removeNamed(name: string, force: boolean): Promise<void> {
    try {
      await this.store.withVolume(name, `remove the volume ${name}`, (held) => this.#remove(held, force));
      this.#tell('remove', name);
      await this.store.sweep();
    } catch (error) {
      if (!RuntsError.is(error) || error.code !== 'ERR_NOT_FOUND') throw error;
      const found = await this.#elsewhere(name);
      if (found === undefined) {
        if (!force) throw error;
        return;
      }
      await found.driver.remove({ name, options: {} });
      this.#tell('remove', name);
    }
  }

  /** Removes the volumes that nobody has named and nobody uses; with `all` also those with a name. Of the local driver. */
  prune({ all = false, signal, ...filter }: PruneVolumes = {}): Promise<VolumesPruned> {
    return unlessAborted(signal, () => this.#prune(filter, all, signal));
  }

  async #prune(filter: VolumeFilter, all: boolean, signal: AbortSignal | undefined): Promise<VolumesPruned> {
    const removed: string[] = [];
    let bytes = 0;
    for (const { name, anonymous } of await this.list({ ...filter, driver: localDriver, dangling: true })) {
      if (signal?.aborted) break;
      if (!anonymous && !all) continue;
      const size = await bytesBelow(this.#host, this.store.dataOf(name), await this.#maps()).catch(() => 0);
      try {
        await this.remove(name);
      } catch (error) {
        // A container has come, or somebody else was faster.
        if (RuntsError.is(error) && ['ERR_STATE', 'ERR_NOT_FOUND'].includes(error.code)) continue;
        throw error;
      }
      removed.push(name);
      bytes += size;
    }
    await this.store.sweep().catch(() => undefined);
    return { removed, bytes };
  }

  /** Limits the number of volumes, for every program that uses this data directory; what is there stays. */
  async setLimits(limits: VolumeLimits): Promise<void> {
    await this.store.setLimits(limits);
  }

  /** The driver of a volume; undefined for the local one. */
  async driverOf({ driver }: VolumeRecord): Promise<VolumeDriver | undefined> {
    return driver === localDriver ? undefined : this.#drivers.get(driver);
  }

  /** The record of a volume that a container asks for: made by the local driver where nobody has one of this name. */
  async ensure(name: string, { anonymous }: { readonly anonymous: boolean }): Promise<void> {
    const known = await this.store.get(name);
    if (known !== undefined && this.store.staysFor(known)) return;
    const found = anonymous ? undefined : await this.#elsewhere(name);
    const driver = found?.driver.name ?? localDriver;
    const created = new Date(this.#host.clock.now()).toISOString();
    await this.#add({ version: 1, name, driver, options: {}, labels: {}, scope: 'local', created, anonymous });
  }

  async #add(record: VolumeRecord): Promise<{ readonly record: VolumeRecord; readonly isNew: boolean }> {
    const added = await this.#stored(record);
    if (added.isNew) this.#tell('create', record.name);
    return added;
  }

  #tell(action: VolumeEvent['action'], id: string): void {
    this.#listener?.({ type: 'volume', action, id, at: new Date(this.#host.clock.now()) });
  }

  async #stored(record: VolumeRecord): Promise<{ readonly record: VolumeRecord; readonly isNew: boolean }> {
    const { name, options } = record;
    if (record.driver === localDriver) {
      localSource(options);
      return this.store.add(record);
    }
    const driver = await this.#drivers.get(record.driver);
    const isKnown = (await this.store.get(name)) !== undefined;
    // What it has already, by another program, is not made again.
    const isFound = !isKnown && (await driver.get?.(name)) !== undefined;
    return this.store.add({ ...record, ...(isFound && { found: true }) }, async () => {
      if (!isFound) await driver.create({ name, options });
      return { scope: driver.scope ?? 'local' };
    });
  }

  async #remove(held: Held, force: boolean): Promise<void> {
    const { record, uses } = held;
    if (uses.live.length > 0) throw inUse(record.name, uses.live);
    await removeHeld(this, held, { force });
  }

  /** A volume that a plugin has, and we do not know. */
  async #elsewhere(
    name: string,
  ): Promise<{ readonly driver: VolumeDriver; readonly volume: DriverVolume } | undefined> {
    for (const each of await this.#drivers.names()) {
      const driver = await this.#drivers.get(each).catch(() => undefined);
      const volume = await driver?.get?.(name).catch(() => undefined);
      if (driver !== undefined && volume !== undefined) return { driver, volume };
    }
    return undefined;
  }

  async #told(record: VolumeRecord): Promise<DriverVolume | undefined> {
    if (record.driver === localDriver) return undefined;
    const driver = await this.#drivers.get(record.driver);
    return driver.get?.(record.name);
  }

  #shown(record: VolumeRecord, users: readonly Use[], told?: DriverVolume): Volume {
    const { name, driver, options, labels, scope, anonymous } = record;
    const created = new Date(record.created);
    return {
      ...{ name, driver, options, labels, scope, anonymous, created },
      mountpoint: driver === localDriver ? this.store.dataOf(name) : (told?.mountpoint ?? ''),
      containers: [...new Set(users.map(({ container }) => container))],
      ...(told?.status !== undefined && { status: told.status }),
      [Symbol.asyncDispose]: () => this.remove(name, { force: true }),
    };
  }

  #foreign(driver: VolumeDriver, { name, mountpoint = '', created, status }: DriverVolume): Volume {
    const time = created === undefined ? undefined : new Date(created);
    return {
      ...{ name, driver: driver.name, mountpoint, options: {}, labels: {}, scope: driver.scope ?? 'local' },
      ...{ created: time === undefined || Number.isNaN(time.getTime()) ? undefined : time, anonymous: false },
      containers: [],
      ...(status !== undefined && { status }),
      [Symbol.asyncDispose]: () => this.remove(name, { force: true }),
    };
  }
}

/** Removes a volume that nobody uses; with `force` also where its driver fails. `keep`: its driver goes on having it. */
export async function removeHeld(
  volumes: Pick<Volumes, 'driverOf'>,
  held: Held,
  { force, keep = false }: { readonly force: boolean; readonly keep?: boolean },
): Promise<void> {
  const { record } = held;
  if (record.driver !== localDriver) {
    held.letOthers();
    try {
      const driver = await volumes.driverOf(record);
      if (driver !== undefined) await forgetEnded(driver, held);
      if (!keep) await driver?.remove({ name: record.name, options: record.options });
    } catch (error) {
      if (!force) throw error;
    }
  }
  await held.take();
}

/** Uses of processes that were killed are over: their driver has not heard of it yet, and counts them still. */
export async function forgetEnded(driver: VolumeDriver, { record: { name, options }, uses }: Held): Promise<void> {
  for (const { id } of uses.ended) await driver.unmount({ name, options, id }).catch(() => undefined);
}

function checkOptions(options: object): void {
  const texts = recordOf(anyText);
  const fields = closed({ name: anyText, driver: fine, options: texts, labels: texts }, 'option');
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const issues = [...issuesOf(given, fields)];
  const { driver } = given as { driver?: unknown };
  const isDriver = isObject(driver) && typeof driver['name'] === 'string' && typeof driver['mount'] === 'function';
  if (driver !== undefined && typeof driver !== 'string' && !isDriver) {
    issues.push({ path: '/driver', message: 'must be the name of a driver, or a driver with a name' });
  }
  if (issues.length > 0) throw specError('cannot make a volume of these options', issues);
}

function isSame(record: VolumeRecord, { driver, options }: Pick<VolumeRecord, 'driver' | 'options'>): boolean {
  const text = (of: Readonly<Record<string, string>>) => JSON.stringify(Object.entries(of).sort());
  return record.driver === driver && text(record.options) === text(options);
}

function conflict({ name, driver }: VolumeRecord, wanted: { readonly driver: string }): RuntsError {
  const how = driver === wanted.driver ? 'with other options' : `of the driver ${driver}`;
  return new RuntsError('ERR_EXISTS', `there is a volume ${name} already, ${how}`, {
    hint: `\`runts volume inspect ${name}\` shows it; remove it, or take another name.`,
  });
}

function inUse(name: string, users: readonly Use[]): RuntsError {
  const containers = [...new Set(users.map(({ container }) => container))];
  return new RuntsError('ERR_STATE', `cannot remove the volume ${name}: it is in use by ${containers.join(', ')}`, {
    hint: 'Remove these containers first.',
  });
}
