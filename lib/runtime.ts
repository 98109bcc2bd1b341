import type { Container, ContainerInfo, Status } from './container/container.ts';
import { DetachedContainers } from './container/detached/all.ts';
import { EventLog, type EventsOptions } from './container/event-log.ts';
import type { ContainerEvent } from './container/events.ts';
import type { Home } from './container/home.ts';
import { newIds } from './container/ids.ts';
import { Names } from './container/names.ts';
import { OwnContainer } from './container/own.ts';
import { Pool } from './container/pool.ts';
import { Repeats } from './container/repeats.ts';
import type { Result } from './container/result.ts';
import { runAgain, runContainer } from './container/run.ts';
import { Snapshots } from './container/snapshots.ts';
import { Life } from './ephemeral/life.ts';
import { ephemeralRuntimes } from './ephemeral/place.ts';
import { RuntsError, specError } from './errors.ts';
import { type Check, examine } from './host/doctor.ts';
import { EmptyMounts } from './host/empty-mounts.ts';
import type { Host } from './host/host.ts';
import { usualMaps } from './host/image.ts';
import { holdKeepers } from './host/keepers.ts';
import { probeFacts } from './host/probe.ts';
import { Reserve } from './host/reserve.ts';
import { Zygotes } from './host/zygotes.ts';
import type { ImageEvent } from './images/events.ts';
import { Images } from './images/images.ts';
import { imagePort } from './images/port.ts';
import { checkRegistries } from './images/registry/config.ts';
import { UnpackedLayers } from './images/unpacked.ts';
import { unlessAborted, type WaitOptions } from './node/aborted.ts';
import { createHost } from './node/host.ts';
import type { Facts } from './plan/facts.ts';
import { mustBeRight, type RuntimeOptions } from './runtime/options.ts';
import { optionChecks, runOptionChecks } from './spec/check-options.ts';
import type { ContainerOptions, Labels, RunOptions } from './spec/options.ts';
import { hasOwn } from './spec/own.ts';
import { plainCopy, shallowCopy } from './spec/plain.ts';
import { isObject, show } from './spec/shape.ts';
import { volumePort } from './volumes/port.ts';
import { type VolumeEvent, Volumes } from './volumes/volumes.ts';

export type { RuntimeOptions, VolumesSettings } from './runtime/options.ts';

/** What became of a container, an image or a volume, by way of this runtime. */
export type RuntimeEvent = ContainerEvent | ImageEvent | VolumeEvent;

/** Which containers: those with all of these labels, and in this state. */
export interface ContainerFilter {
  /** With all of these. */
  readonly labels?: Labels | undefined;
  readonly status?: Status | undefined;
}

/** Owns containers: all of them but the detached go when it is disposed, and when this process ends by whatever means. */
export class Runtime implements AsyncDisposable {
  /** The images that are stored here, and registries. */
  readonly images: Images;
  /** The volumes that are stored here, and those of plugins. */
  readonly volumes: Volumes;
  readonly #host: Host;
  readonly #zygotes: Zygotes;
  readonly #emptyMounts: EmptyMounts;
  readonly #letKeepersGo: () => Promise<void>;
  readonly #containers = new Set<OwnContainer>();
  readonly #detached: DetachedContainers;
  /** Those of containers that are there, or are being made. */
  readonly #names = new Names();
  readonly #home: Home;
  readonly #unpacked: UnpackedLayers;
  readonly #lifetime: Life | undefined;
  readonly #events = new EventLog<RuntimeEvent>();
  /** What is being made or run at the moment: a disposal waits for it. */
  readonly #work = new Set<Promise<unknown>>();
  #facts: Promise<Facts> | undefined;
  #disposed = false;
  /** What ephemeral runtimes have left that were killed together with their keepers. */
  #cleaning: Promise<void> | undefined;

  constructor(
    given: Host,
    { driver, registries, volumes = {}, ephemeral = false, warm = [] }: Omit<RuntimeOptions, 'root' | 'state'> = {},
  ) {
    this.#zygotes = new Zygotes(given);
    const { host } = this.#zygotes;
    this.#host = host;
    this.#letKeepersGo = holdKeepers(host);
    this.#emptyMounts = new EmptyMounts(host);
    const { dataDirectory: root, stateDirectory: state } = host.environment;
    const newId = newIds(host);
    const { plugins, ...limits } = volumes;
    const lifetime = ephemeral ? new Life(host, { id: newId(), root, state, driver, plugins }) : undefined;
    this.#lifetime = lifetime;
    const facts = () => {
      this.#facts ??= probeFacts(host).catch((error: unknown) => {
        this.#facts = undefined; // the next one may have what we were short of
        throw error;
      });
      return this.#facts;
    };
    const tell = (event: RuntimeEvent): void => this.#events.tell(event);
    const unpacked = new UnpackedLayers({ host, facts, driver });
    const begin = async (): Promise<void> => lifetime?.begin();
    const pool = new Pool({ warm, begin, home: () => this.#home });
    const isNobodys = (id: string) => pool.has(id);
    this.images = new Images({ directory: root, registries, unpacked, tell, lifetime, isNobodys });
    const maps = async () => usualMaps(await facts()).stored;
    this.volumes = new Volumes({ host, maps, limits, plugins, tell, lifetime });
    this.#unpacked = unpacked;
    const newContainerId = () => {
      const id = newId();
      lifetime?.noteContainer(id);
      return id;
    };
    this.#home = {
      host,
      facts,
      images: imagePort(this.images, { driver }),
      volumes: volumePort(this.volumes, host),
      snapshots: new Snapshots({ host, newId: newContainerId, nameOf: (id) => this.#nameOf(id) }),
      emptyMounts: this.#emptyMounts,
      reserve: new Reserve({ host, facts, newId: newContainerId }),
      pool,
      repeats: warm.length > 0 ? undefined : new Repeats(),
      newId: newContainerId,
      adopt: (container) => {
        this.#mustExist();
        this.#containers.add(container);
      },
      forget: (container) => {
        this.#containers.delete(container);
        this.#names.free(container.name);
      },
      watch: (container) => this.#detached.watch(container),
      tell,
    };
    this.#detached = new DetachedContainers(this.#home);
    pool.fillSoon();
  }

  /** Makes a container, which waits for its `start()`. */
  readonly createContainer = (options: ContainerOptions): Promise<Container> =>
    this.#follow(async (): Promise<Container> => {
      const all = given(options);
      if (all.detached === true) return this.#createDetached(all);
      const whole = this.#home.snapshots.complete(all);
      return this.#named(whole, () => OwnContainer.create(this.#home, whole));
    });

  /** Runs a command in a container of its own, to its end. Rejects with ExitError unless `reject: false`. */
  readonly run = (
    options: (ContainerOptions & RunOptions) | string,
    command?: readonly string[],
    more?: RunOptions,
  ): Promise<Result> =>
    this.#follow(async () => {
      const known = this.#home.repeats?.known(options);
      if (known !== undefined) return await runAgain(this.#home, known);
      const whole =
        typeof options === 'string'
          ? { image: options, ...(command && { command }), ...more }
          : // What runs to its end is not waited for to become ready.
            this.#home.snapshots.complete(given(options), ['ready']);
      return this.#named(whole, () => runContainer(this.#home, whole));
    });

  /** The containers that are there, in the order they were made: its own, and the detached ones of whoever made them. */
  async containers({ labels = {}, status }: ContainerFilter = {}): Promise<ContainerInfo[]> {
    const found = await Promise.all((await this.#all()).map(informed));
    const all = found.filter((info) => info !== undefined).sort((a, b) => a.created.getTime() - b.created.getTime());
    const hasLabels = (info: ContainerInfo) =>
      Object.entries(labels).every(([name, value]) => hasOwn(info.labels, name) && info.labels[name] === value);
    return all.filter((info) => hasLabels(info) && (status === undefined || info.status === status));
  }

  /** A container of this runtime, or a detached one, by its name, its id, or the beginning of its id. */
  async container(idOrName: string): Promise<Container> {
    const all = await this.#all();
    const exact = all.filter(({ id, name }) => id === idOrName || name === idOrName);
    const found = exact.length > 0 || idOrName === '' ? exact : all.filter(({ id }) => id.startsWith(idOrName));
    if (found.length === 1) return found[0]!;
    if (found.length === 0) {
      throw new RuntsError('ERR_NOT_FOUND', `there is no container ${JSON.stringify(idOrName)}`, {
        hint: '`containers()` tells those that this runtime has made and not removed, and those that are detached.',
      });
    }
    const ids = found.map(({ id }) => id.slice(0, 12)).join(', ');
    throw new RuntsError('ERR_SPEC', `${JSON.stringify(idOrName)} may be any of the containers ${ids}`, {
      hint: 'Give more of the id.',
    });
  }

  /**
   * Looks after the detached containers from now on, as long as the runtime is there: those that are to run by their restart
   * policy are started now, and when they end. Whoever has started one looks after that one already. After its signal no
   * other is started.
   */
  restore({ signal }: WaitOptions = {}): Promise<void> {
    return unlessAborted(signal, () => this.#follow(() => this.#detached.restore(signal)));
  }

  /**
   * Makes what the option `warm` asks for and is not there: fulfilled when no more is being made, with how many containers
   * stand ready.
   */
  warmed({ signal }: WaitOptions = {}): Promise<number> {
    return unlessAborted(signal, () => this.#follow(() => this.#home.pool.filled()));
  }

  /** What becomes of its containers, images and volumes from the call on, until the signal or until it is disposed. */
  events(options: EventsOptions = {}): AsyncIterableIterator<RuntimeEvent> {
    return this.#events.listen(options);
  }

  /** What this host can do, tried out; for each thing it cannot, why and what to do about it. */
  check({ signal }: WaitOptions = {}): Promise<Check[]> {
    return unlessAborted(signal, () => examine(this.#host, signal));
  }

  /**
   * Removes every container but those that are detached, and those that are being made: they fail. Nothing can be made any
   * more.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    try {
      await Promise.all([...this.#containers].map((container) => container.remove({ force: true })));
      await Promise.allSettled(this.#work);
      await this.#home.pool.close();
      await this.#home.reserve.close();
      await this.#detached.leave();
      await this.#home.snapshots.close();
      await this.#cleaning;
      await this.#reap();
    } finally {
      await Promise.all([this.#letKeepersGo(), this.#zygotes.close(), this.#emptyMounts.close()]);
      this.#events.end();
    }
  }

  async #createDetached(options: ContainerOptions): Promise<Container> {
    if (this.#lifetime !== undefined) throw notEphemeral();
    // While it is made: then its record has the name.
    return this.#names.during(options.name, () => this.#detached.create(options));
  }

  /** A name is of one container at a time, whether or not that is detached. */
  #named<T>({ name }: { readonly name?: string | undefined }, work: () => Promise<T>): Promise<T> {
    return this.#names.held(name, async () => {
      if (typeof name === 'string') await this.#detached.mustNotHave(name);
      return work();
    });
  }

  /** What an ephemeral one has made goes, but for what others use. */
  async #reap(): Promise<void> {
    const { host, facts } = this.#home;
    const { images, volumes } = this;
    const removed = (id: string) =>
      this.#events.tell({ type: 'volume', action: 'remove', id, at: new Date(host.clock.now()) });
    const scene = { host, facts, images, volumes, unpacked: this.#unpacked, removed };
    await this.#lifetime?.end(async (made) => {
      const { reap } = await import('./ephemeral/reap.ts');
      await reap(scene, this.#lifetime!.id, made);
    });
  }

  #nameOf(id: string): string {
    return [...this.#containers].find((container) => container.id === id)?.name ?? id.slice(0, 12);
  }

  async #all(): Promise<Container[]> {
    return [...this.#containers, ...(await this.#detached.list())];
  }

  #mustExist(): void {
    if (this.#disposed) throw new RuntsError('ERR_STATE', 'cannot make a container: its runtime has been disposed');
  }

  async #follow<T>(work: () => Promise<T>): Promise<T> {
    this.#mustExist();
    // Nobody waits for it, nor for what it has against it.
    this.#cleaning ??= cleanUp(this.#host.environment.dataDirectory).catch(() => undefined);
    const working = this.#lifetime === undefined ? work() : this.#lifetime.begin().then(work);
    this.#work.add(working);
    try {
      return await working;
    } finally {
      this.#work.delete(working);
    }
  }
}

/** What ephemeral runtimes have left that were killed together with their keepers. */
async function cleanUp(root: string): Promise<void> {
  if ((await ephemeralRuntimes(root)).length === 0) return;
  const { reapAllEnded } = await import('./ephemeral/reap.ts');
  await reapAllEnded(root);
}

/** Undefined for one that has been removed meanwhile. */
async function informed(container: Container): Promise<ContainerInfo | undefined> {
  try {
    return await container.inspect();
  } catch (error) {
    if (RuntsError.is(error) && error.code === 'ERR_NOT_FOUND') return undefined;
    throw error;
  }
}

const notEphemeral = () =>
  new RuntsError('ERR_SPEC', 'cannot make a container that stays: its runtime is ephemeral', {
    origin: '/detached',
    hint: 'Make the runtime without `ephemeral: true`, or the container without `detached`.',
  });

/** A runtime of one's own. */
export function createRuntime(options: RuntimeOptions = {}): Runtime {
  return runtimeOf(plainCopy(anObject(options, noRuntime), noRuntime));
}

function runtimeOf(options: RuntimeOptions): Runtime {
  mustBeRight(options, noRuntime);
  const host = createHost();
  const { root = host.environment.dataDirectory, state = host.environment.stateDirectory, registries = {} } = options;
  const environment = { ...host.environment, dataDirectory: root, stateDirectory: state };
  return new Runtime({ ...host, environment }, { ...options, registries: checkRegistries(registries) });
}

const noRuntime = 'cannot make a runtime of these options';
const noContainer = 'cannot make a container of these options';

function anObject<T>(options: T, what: string): T {
  if (isObject(options)) return options;
  throw specError(what, [{ path: '', message: `must be an object, not ${show(options)}` }]);
}

/** Each looked at once, here. */
const given = <T extends object>(options: T): T =>
  shallowCopy(anObject(options, noContainer), containerOptions, noContainer);

const containerOptions = Object.keys({ ...optionChecks, ...runOptionChecks });
