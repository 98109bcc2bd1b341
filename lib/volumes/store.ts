import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import type { Handle, Host } from '../host/host.ts';
import { privateDirectory } from '../host/image.ts';
import { removeTrees } from '../host/layers.ts';
import { alsoWith, type Lifetime } from '../host/lifetime.ts';
import type { Maps } from '../plan/plan.ts';
import { hasOwn } from '../spec/own.ts';
import { replaceSynced, syncDirectory, systemError, writeSynced } from './files.ts';
import { clearFill } from './fill.ts';
import { checkLimits, limitsFileName, mustHaveRoom, readLimits, type VolumeLimits } from './limits.ts';
import { tryLock, untilGiven } from './lock.ts';
import { checkVolumeName } from './names.ts';
import { readRecord, recordFileName, type VolumeRecord } from './record.ts';
import { addUse, type FoundUses, findUses, type OwnUse } from './uses.ts';

export interface StoreOptions {
  readonly host: Host;
  /** The ids whose files are in the volumes, where they are not ours to remove. */
  readonly maps: () => Promise<Maps | undefined>;
  readonly limits?: VolumeLimits | undefined;
  /** What is made goes with it; undefined: it stays. */
  readonly lifetime?: Lifetime | undefined;
}

/** A volume, its name held against everybody else. */
export interface Held {
  readonly record: VolumeRecord;
  readonly directory: string;
  /** Who uses it; those that have ended are found once only. */
  readonly uses: FoundUses;
  /** Notes one more use. */
  use(container: string, record?: string): Promise<OwnUse>;
  /** Lets others at other volumes; this one stays ours alone until the work on it has ended. */
  letOthers(): void;
  /** Writes another record of it. */
  change(record: VolumeRecord): Promise<void>;
  /** Takes it out of the store. What was in it goes later, by `sweep`. */
  take(): Promise<void>;
}

/** Work on names is short; a plugin may take minutes for one volume. */
const turnMs = 30_000;
const volumeMs = 10 * 60_000;

/**
 * The volumes of a data directory, for several processes at once: `<data>/volumes/<name>/` with `volume.json`, `uses/`,
 * `lock`, and `_data` where the files are ours to keep. A name appears with all that belongs to it, by a rename, and goes by
 * one. `.lock` is held while names are changed or uses counted, `<name>/lock` while something is done to one volume.
 */
export class VolumeStore {
  readonly directory: string;
  readonly #host: Host;
  readonly #options: StoreOptions;
  #isThere = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#host = options.host;
    this.directory = `${options.host.environment.dataDirectory}/volumes`;
  }

  dataOf(name: string): string {
    return `${this.directory}/${name}/_data`;
  }

  /** All records, in the order of names. */
  async list(): Promise<readonly VolumeRecord[]> {
    const names = await readdir(this.directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw systemError(error, 'list volumes');
    });
    const visible = names.filter((name) => !name.startsWith('.')).sort();
    const records = await Promise.all(visible.map((name) => readRecord(`${this.directory}/${name}`)));
    return records.filter((record) => record !== undefined);
  }

  async get(name: string): Promise<VolumeRecord | undefined> {
    return readRecord(`${this.directory}/${checkVolumeName(name)}`);
  }

  /** Who uses which volume, by name. */
  async users(): Promise<ReadonlyMap<string, FoundUses['live']>> {
    return this.#turn(async () => {
      const users = new Map<string, FoundUses['live']>();
      // Those that have ended stay for whoever works on the volume: their driver is to hear of it.
      for (const { name } of await this.list())
        users.set(name, (await findUses(`${this.directory}/${name}/uses`, 'look')).live);
      return users;
    });
  }

  /** The names of volumes that killed processes had. */
  async abandoned(): Promise<readonly string[]> {
    return this.#turn(async () => {
      const found: string[] = [];
      for (const { name } of await this.list()) {
        if ((await findUses(`${this.directory}/${name}/uses`, 'look')).ended.length > 0) found.push(name);
      }
      return found;
    });
  }

  /** Limits for everybody who uses this store, from now on; what is there stays. */
  async setLimits(limits: VolumeLimits): Promise<void> {
    checkLimits(limits);
    await this.#turn(() => replaceSynced(`${this.directory}/${limitsFileName}`, JSON.stringify(limits)));
  }

  /**
   * Adds a volume, whole, unless there is one of its name, which is given instead. `make` is for a driver that has to be
   * asked: until it has ended the volume is nobody's to use, and when it fails there is none.
   */
  async add(
    wanted: VolumeRecord,
    make?: () => Promise<Partial<VolumeRecord>>,
  ): Promise<{ readonly record: VolumeRecord; readonly isNew: boolean }> {
    const { name } = wanted;
    checkVolumeName(name);
    const { lifetime } = this.#options;
    await lifetime?.begin();
    const record = { ...wanted, ...(lifetime !== undefined && { goesWith: [lifetime.id] }) };
    return this.#work(name, `make the volume ${name}`, async (held, lockDirectory) => {
      if (held !== undefined) return { record: await this.#wantedToo(held), isNew: false };
      await this.#mustHaveRoom(record);
      const directory = await this.#place(make === undefined ? record : { ...record, making: true });
      if (make === undefined) return { record, isNew: true };
      await lockDirectory();
      try {
        const whole = { ...record, ...(await make()) };
        await replaceSynced(`${directory}/${recordFileName}`, JSON.stringify(whole));
        return { record: whole, isNew: true };
      } catch (error) {
        await this.#takeAway(name);
        throw error;
      }
    });
  }

  /** Whether it stays at least as long as what is made here. */
  staysFor({ goesWith }: VolumeRecord): boolean {
    const { lifetime } = this.#options;
    return goesWith === undefined || (lifetime !== undefined && goesWith.includes(lifetime.id));
  }

  /** Works on a volume as nobody else does. ERR_NOT_FOUND where there is none. */
  async withVolume<T>(name: string, doing: string, work: (held: Held) => Promise<T>, signal?: AbortSignal): Promise<T> {
    checkVolumeName(name);
    return this.#work(
      name,
      doing,
      async (held) => {
        if (held === undefined) throw noSuchVolume(name);
        return work(held);
      },
      signal,
    );
  }

  /** The names of what is no volume: what is left of one whose maker or remover was killed, perhaps. */
  async strays(): Promise<readonly string[]> {
    const names = await readdir(this.directory).catch(() => []);
    const known = new Set((await this.list()).filter(({ making }) => making === undefined).map(({ name }) => name));
    return names.filter((name) => !name.startsWith('.') && !known.has(name));
  }

  /** Removes what was taken out of the store, by whomever. Also what is left of processes that were killed. */
  async sweep(): Promise<void> {
    await this.#turn(() => this.#hideUnborn());
    const lock = await untilGiven(() => tryLock(`${this.directory}/.sweep`), {
      what: 'what is left of volumes',
      deadlineMs: volumeMs,
    });
    try {
      const left = (await readdir(this.directory)).filter((name) => name.startsWith('.removed-'));
      if (left.length > 0) await removeTrees(this.#host, this.directory, left, await this.#options.maps());
    } finally {
      lock.close();
    }
  }

  /** Removes what somebody has left who was killed while the volume was filled. With its lock held. */
  async clearFill(name: string): Promise<void> {
    await clearFill(this.#host, `${this.directory}/${name}`, await this.#options.maps());
  }

  /** With the lock of all names; `held` is undefined where there is no such volume. */
  async #work<T>(
    name: string,
    doing: string,
    work: (held: Held | undefined, letOthers: () => Promise<void>) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    await this.#makeDirectory();
    const wait = { what: `the volume ${name}`, deadlineMs: volumeMs, signal };
    // Both locks or none: whoever has a volume for long does not keep the others from theirs.
    const locks = await untilGiven(() => this.#locks(name), wait);
    let own = locks.own;
    const letOthers = (): void => locks.all.close();
    try {
      const held = locks.record === undefined ? undefined : await this.#held(locks.record, letOthers);
      return await work(held, async () => {
        own ??= await tryLock(`${this.directory}/${name}/lock`);
        letOthers();
      });
    } catch (error) {
      throw systemError(error, doing);
    } finally {
      own?.close();
      locks.all.close();
    }
  }

  async #locks(
    name: string,
  ): Promise<{ all: Handle; own: Handle | undefined; record: VolumeRecord | undefined } | undefined> {
    const all = await this.#lockAll();
    try {
      const directory = `${this.directory}/${name}`;
      const names = await readdir(directory).catch(() => undefined);
      if (names === undefined) return { all, own: undefined, record: undefined };
      const own = await tryLock(`${directory}/lock`).catch((error: NodeJS.ErrnoException) => {
        // Whoever removes it has just taken it away.
        if (error.code !== 'ENOENT') throw error;
        return undefined;
      });
      if (own === undefined) {
        all.close();
        return undefined;
      }
      const record = await readRecord(directory);
      if (record !== undefined && record.making === undefined) return { all, own, record };
      // Whoever made it, or was removing it, was killed.
      own.close();
      await this.#takeAway(name);
      return { all, own: undefined, record: undefined };
    } catch (error) {
      all.close();
      throw error;
    }
  }

  async #held(record: VolumeRecord, letOthers: () => void): Promise<Held> {
    const directory = `${this.directory}/${record.name}`;
    const uses = await findUses(`${directory}/uses`, 'clear');
    return {
      record,
      directory,
      uses,
      use: (container, record) => addUse(`${directory}/uses`, container, record),
      letOthers,
      change: (changed) => replaceSynced(`${directory}/${recordFileName}`, JSON.stringify(changed)),
      take: () => this.#takeAway(record.name),
    };
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    await this.#makeDirectory();
    const lock = await this.#lockAll();
    try {
      return await work();
    } catch (error) {
      throw systemError(error, 'work on the store of volumes');
    } finally {
      lock.close();
    }
  }

  #lockAll(): Promise<Handle> {
    const wait = { what: 'the store of volumes', deadlineMs: turnMs };
    return untilGiven(() => tryLock(`${this.directory}/.lock`), wait);
  }

  async #mustHaveRoom({ name, driver }: VolumeRecord): Promise<void> {
    const limits = [this.#options.limits ?? {}, await readLimits(this.directory)];
    const names = (await readdir(this.directory)).filter((each) => !each.startsWith('.'));
    // To read them all takes time, and is for those who have limits for drivers.
    const counts = limits.some(({ maxByDriver = {} }) => hasOwn(maxByDriver, driver));
    const ofDriver = counts ? (await this.list()).filter((each) => each.driver === driver).length : 0;
    mustHaveRoom({ name, driver, count: names.length, ofDriver }, limits);
  }

  async #makeDirectory(): Promise<void> {
    if (this.#isThere) return;
    await privateDirectory(this.#host, this.directory, 'a place for volumes');
    this.#isThere = true;
  }

  /** One that goes with others, and was asked for here: it stays as long as what is made here. */
  async #wantedToo(held: Held): Promise<VolumeRecord> {
    const { record } = held;
    if (this.staysFor(record)) return record;
    const { goesWith, ...rest } = record;
    const both = alsoWith(goesWith, this.#options.lifetime?.id);
    const changed = { ...rest, ...(both !== undefined && { goesWith: both }) };
    await held.change(changed);
    return changed;
  }

  /** What is being made has another name first: what has such a name while we have the lock was left by a killed process. */
  async #hideUnborn(): Promise<void> {
    for (const left of (await readdir(this.directory)).filter((name) => name.startsWith('.new-'))) {
      await rename(`${this.directory}/${left}`, `${this.directory}/.removed-${left.slice('.new-'.length)}`);
    }
  }

  /** Makes all of it under another name first. */
  async #place(record: VolumeRecord): Promise<string> {
    await this.#hideUnborn();
    const random = randomBytes(8).toString('hex');
    const temporary = `${this.directory}/.new-${random}`;
    const directory = `${this.directory}/${record.name}`;
    await mkdir(temporary, { mode: 0o700 });
    await mkdir(`${temporary}/uses`, { mode: 0o700 });
    await mkdir(`${temporary}/_data`, { mode: 0o755 });
    await writeSynced(`${temporary}/${recordFileName}`, JSON.stringify(record));
    await writeSynced(`${temporary}/lock`, '');
    await rename(temporary, directory);
    await syncDirectory(this.directory);
    return directory;
  }

  async #takeAway(name: string): Promise<void> {
    const hidden = `${this.directory}/.removed-${randomBytes(8).toString('hex')}`;
    await rename(`${this.directory}/${name}`, hidden).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    await syncDirectory(this.directory);
  }
}

export const noSuchVolume = (name: string): RuntsError =>
  new RuntsError('ERR_NOT_FOUND', `No such volume: ${name}`, { hint: '`runts volume ls` lists those that are there.' });
