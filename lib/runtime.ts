import { isAbsolute } from 'node:path';
import type { Container, ContainerInfo, Status } from './container/container.ts';
import { DetachedContainers } from './container/detached/all.ts';
import { EventLog, type EventsOptions } from './container/event-log.ts';
import type { ContainerEvent } from './container/events.ts';
import type { Home } from './container/home.ts';
import { Names } from './container/names.ts';
import { OwnContainer } from './container/own.ts';
import type { Result } from './container/result.ts';
import { runContainer } from './container/run.ts';
import { Snapshots } from './container/snapshots.ts';
import { Life } from './ephemeral/life.ts';
import { ephemeralRuntimes } from './ephemeral/place.ts';
import { RuntsError, specError } from './errors.ts';
import { type Check, examine } from './host/doctor.ts';
import type { Host } from './host/host.ts';
import { usualMaps } from './host/image.ts';
import { probeFacts } from './host/probe.ts';
import type { ImageEvent } from './images/events.ts';
import { Images } from './images/images.ts';
import { imagePort } from './images/port.ts';
import { checkRegistries, type Registries } from './images/registry/config.ts';
import { type GraphDriver, graphDrivers, UnpackedLayers } from './images/unpacked.ts';
import { unlessAborted, type WaitOptions } from './node/aborted.ts';
import { createHost } from './node/host.ts';
import type { Facts } from './plan/facts.ts';
import { optionChecks, runOptionChecks } from './spec/check-options.ts';
import type { ContainerOptions, Labels, RunOptions } from './spec/options.ts';
import { hasOwn } from './spec/own.ts';
import { plainCopy, shallowCopy } from './spec/plain.ts';
import { isObject, show } from './spec/shape.ts';
import { checkLimits, type VolumeLimits } from './volumes/limits.ts';
import { volumePort } from './volumes/port.ts';
import { type VolumeEvent, Volumes } from './volumes/volumes.ts';

/** What `createRuntime` takes; each has a default. */
export interface RuntimeOptions {
  /** Where images, layers and root file systems are kept. Default `$XDG_DATA_HOME/runts`, as root `/var/lib/runts`. */
  readonly root?: string;
  /** Where state is kept. Default `$XDG_RUNTIME_DIR/runts`, as root `/run/runts`. */
  readonly state?: string;
  /** How layers become a root file system. Default: the best that works here, found out by trying. */
  readonly driver?: GraphDriver | undefined;
  /** Mirrors and insecure registries, by the registry's name; over those of the configuration files. */
  readonly registries?: Registries | undefined;
  /** How many there may be, and where plugins are. Default: as many as the store allows, and Docker's directories. */
  readonly volumes?: VolumesSettings | undefined;
  /**
   * Everything that is made by way of it goes when it is disposed, or when this process ends, by whatever means: volumes and
   * images too, unless others use them; it makes no detached containers. Default `false`: its containers go but those that
   * are detached, volumes with a name and images stay.
   */
  readonly ephemeral?: boolean | undefined;
}

/** What became of a container, an image or a volume, by way of this runtime. */
export type RuntimeEvent = ContainerEvent | ImageEvent | VolumeEvent;

/** Which containers: those with all of these labels, and in this state. */
export interface ContainerFilter {
  /** With all of these. */
  readonly labels?: Labels | undefined;
  readonly status?: Status | undefined;
}

/** How many volumes may be made through a runtime, and where plugins are. */
export interface VolumesSettings extends VolumeLimits {
  /** Directories with `.sock`, `.spec` and `.json` files of volume plugins, looked into before Docker's. */
  readonly plugins?: readonly string[] | undefined;
}

/** Owns containers: all of them but the detached go when it is disposed, and when this process ends by whatever means. */
export class Runtime implements AsyncDisposable {
  /** The images that are stored here, and registries. */
  readonly images: Images;
  /** The volumes that are stored here, and those of plugins. */
  readonly volumes: Volumes;
  readonly #host: Host;
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
    host: Host,
    {
      driver,
      registries,
      volumes = {},
      ephemeral = false,
    }: Pick<RuntimeOptions, 'driver' | 'registries' | 'volumes' | 'ephemeral'> = {},
  ) {
    this.#host = host;
    const { dataDirectory: root, stateDirectory: state } = host.environment;
    const newId = () => Buffer.from(host.random(32)).toString('hex');
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
    this.images = new Images({ directory: root, registries, unpacked, tell, lifetime });
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
      await this.#detached.leave();
      await this.#home.snapshots.close();
      await this.#cleaning;
      await this.#reap();
    } finally {
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
    const working = (async () => {
      await this.#lifetime?.begin();
      return work();
    })();
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
  const issues = Object.entries(options).flatMap(([name, value]) => {
    const check = hasOwn(runtimeChecks, name) ? runtimeChecks[name as keyof RuntimeOptions] : undefined;
    const message = check === undefined ? `unknown option; there are ${optionNames.join(', ')}` : check(value);
    return value === undefined || message === undefined ? [] : [{ path: `/${name}`, message }];
  });
  if (issues.length > 0) throw specError(noRuntime, issues);
  const host = createHost();
  const { root = host.environment.dataDirectory, state = host.environment.stateDirectory } = options;
  const { driver, registries = {}, volumes, ephemeral } = options;
  const environment = { ...host.environment, dataDirectory: root, stateDirectory: state };
  return new Runtime({ ...host, environment }, { driver, registries: checkRegistries(registries), volumes, ephemeral });
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

const path = (value: unknown): string | undefined =>
  typeof value === 'string' && isAbsolute(value) ? undefined : `must be an absolute path, not ${show(value)}`;

const runtimeChecks: Readonly<Record<keyof RuntimeOptions, (value: unknown) => string | undefined>> = {
  root: path,
  state: path,
  driver: (value) =>
    graphDrivers.some((driver) => driver === value)
      ? undefined
      : `must be one of ${graphDrivers.join(', ')}, not ${show(value)}`,
  // All that is wrong with them is told by checkRegistries.
  registries: () => undefined,
  volumes: volumesFault,
  ephemeral: (value) => (typeof value === 'boolean' ? undefined : `must be true or false, not ${show(value)}`),
};

function volumesFault(value: unknown): string | undefined {
  if (!isObject(value)) return `must be an object, not ${show(value)}`;
  const { plugins = [], ...limits } = value;
  const stranger = Object.keys(limits).find((name) => !['max', 'maxByDriver'].includes(name));
  if (stranger !== undefined) return `has no ${stranger}; there are max, maxByDriver, plugins`;
  if (!Array.isArray(plugins) || plugins.some((each) => path(each) !== undefined)) {
    return 'plugins must be a list of absolute paths';
  }
  try {
    checkLimits(limits);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const optionNames = Object.keys(runtimeChecks);
