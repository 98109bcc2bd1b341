import { isAbsolute } from 'node:path';
import { Container, type ContainerInfo, type Status } from './container/container.ts';
import { EventLog, type EventsOptions } from './container/event-log.ts';
import type { ContainerEvent } from './container/events.ts';
import type { Home } from './container/home.ts';
import type { Result } from './container/result.ts';
import { runContainer } from './container/run.ts';
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

export interface RuntimeOptions {
  /** Where images, layers and root file systems are kept. Default `$XDG_DATA_HOME/runts`, as root `/var/lib/runts`. */
  readonly root?: string;
  /** Where state is kept. Default `$XDG_RUNTIME_DIR/runts`, as root `/run/runts`. */
  readonly state?: string;
  /** How layers become a root file system. Default: the best that works here, found out by trying. */
  readonly driver?: GraphDriver | undefined;
  /** Mirrors and insecure registries, by the registry's name; over those of the configuration files. */
  readonly registries?: Registries | undefined;
  readonly volumes?: VolumesSettings | undefined;
  /**
   * `true`: containers go when the runtime is disposed, and when this process ends. They always do: `false`, containers that
   * outlive it, is refused. Images, and volumes with a name, stay.
   */
  readonly ephemeral?: boolean | undefined;
}

/** What became of a container, an image or a volume, by way of this runtime. */
export type RuntimeEvent = ContainerEvent | ImageEvent | VolumeEvent;

/** Which containers: those with all of these labels, and in this state. */
export interface ContainerFilter {
  readonly labels?: Labels | undefined;
  readonly status?: Status | undefined;
}

/** How many volumes may be made through a runtime, and where plugins are. */
export interface VolumesSettings extends VolumeLimits {
  /** Directories with `.sock`, `.spec` and `.json` files of volume plugins, looked into before Docker's. */
  readonly plugins?: readonly string[] | undefined;
}

/** Owns containers: all of them go when it is disposed, and when this process ends by whatever means. */
export class Runtime implements AsyncDisposable {
  /** The images that are stored here, and registries. */
  readonly images: Images;
  /** The volumes that are stored here, and those of plugins. */
  readonly volumes: Volumes;
  readonly #host: Host;
  readonly #containers = new Set<Container>();
  readonly #home: Home;
  readonly #events = new EventLog<RuntimeEvent>();
  /** What is being made or run at the moment: a disposal waits for it. */
  readonly #work = new Set<Promise<unknown>>();
  #facts: Promise<Facts> | undefined;
  #disposed = false;

  constructor(
    host: Host,
    { driver, registries, volumes = {} }: Pick<RuntimeOptions, 'driver' | 'registries' | 'volumes'> = {},
  ) {
    this.#host = host;
    const facts = () => {
      this.#facts ??= probeFacts(host).catch((error: unknown) => {
        this.#facts = undefined; // the next one may have what we were short of
        throw error;
      });
      return this.#facts;
    };
    const tell = (event: RuntimeEvent): void => this.#events.tell(event);
    const unpacked = new UnpackedLayers({ host, facts, driver });
    this.images = new Images({ directory: host.environment.dataDirectory, registries, unpacked, tell });
    const { plugins, ...limits } = volumes;
    const maps = async () => usualMaps(await facts()).stored;
    this.volumes = new Volumes({ host, maps, limits, plugins, tell });
    this.#home = {
      host,
      facts,
      images: imagePort(this.images, { driver }),
      volumes: volumePort(this.volumes, host),
      newId: () => Buffer.from(host.random(32)).toString('hex'),
      adopt: (container) => {
        this.#mustExist();
        this.#containers.add(container);
      },
      forget: (container) => void this.#containers.delete(container),
      tell,
    };
  }

  /** Makes a container, which waits for its `start()`. */
  readonly createContainer = (options: ContainerOptions): Promise<Container> =>
    this.#follow(async () => Container.create(this.#home, given(options)));

  /** Runs a command in a container of its own, to its end. Rejects with ExitError unless `reject: false`. */
  readonly run = (
    options: (ContainerOptions & RunOptions) | string,
    command?: readonly string[],
    more?: RunOptions,
  ): Promise<Result> =>
    this.#follow(async () =>
      runContainer(
        this.#home,
        typeof options === 'string' ? { image: options, ...(command && { command }), ...more } : given(options),
      ),
    );

  /** The containers that are there, in the order they were made. */
  async containers({ labels = {}, status }: ContainerFilter = {}): Promise<ContainerInfo[]> {
    const all = await Promise.all([...this.#containers].map((container) => container.inspect()));
    const hasLabels = (info: ContainerInfo) =>
      Object.entries(labels).every(([name, value]) => hasOwn(info.labels, name) && info.labels[name] === value);
    return all.filter((info) => hasLabels(info) && (status === undefined || info.status === status));
  }

  /** A container of this runtime by its name, its id, or the beginning of its id. */
  async container(idOrName: string): Promise<Container> {
    const all = [...this.#containers];
    const exact = all.filter(({ id, name }) => id === idOrName || name === idOrName);
    const found = exact.length > 0 || idOrName === '' ? exact : all.filter(({ id }) => id.startsWith(idOrName));
    if (found.length === 1) return found[0]!;
    if (found.length === 0) {
      throw new RuntsError('ERR_NOT_FOUND', `there is no container ${JSON.stringify(idOrName)}`, {
        hint: '`containers()` tells those that this runtime has made and not removed.',
      });
    }
    const ids = found.map(({ id }) => id.slice(0, 12)).join(', ');
    throw new RuntsError('ERR_SPEC', `${JSON.stringify(idOrName)} may be any of the containers ${ids}`, {
      hint: 'Give more of the id.',
    });
  }

  /** What becomes of its containers, images and volumes from the call on, until the signal or until it is disposed. */
  events(options: EventsOptions = {}): AsyncIterableIterator<RuntimeEvent> {
    return this.#events.listen(options);
  }

  /** What this host can do, tried out; for each thing it cannot, why and what to do about it. */
  check(): Promise<Check[]> {
    return examine(this.#host);
  }

  /** Removes every container, and those that are being made: they fail. Nothing can be made any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    try {
      await Promise.all([...this.#containers].map((container) => container.remove({ force: true })));
      await Promise.allSettled(this.#work);
    } finally {
      this.#events.end();
    }
  }

  #mustExist(): void {
    if (this.#disposed) throw new RuntsError('ERR_STATE', 'cannot make a container: its runtime has been disposed');
  }

  async #follow<T>(work: () => Promise<T>): Promise<T> {
    this.#mustExist();
    const working = work();
    this.#work.add(working);
    try {
      return await working;
    } finally {
      this.#work.delete(working);
    }
  }
}

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
  if (options.ephemeral === false) {
    throw new RuntsError('ERR_UNSUPPORTED', 'cannot make a runtime whose containers outlive it: there are none yet', {
      hint: 'Leave `ephemeral` away. `runts create` and `runts start` make containers that stay.',
    });
  }
  const host = createHost();
  const { root = host.environment.dataDirectory, state = host.environment.stateDirectory } = options;
  const { driver, registries = {}, volumes } = options;
  const environment = { ...host.environment, dataDirectory: root, stateDirectory: state };
  return new Runtime({ ...host, environment }, { driver, registries: checkRegistries(registries), volumes });
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
