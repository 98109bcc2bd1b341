import { isAbsolute } from 'node:path';
import { Container, type ContainerInfo } from './container/container.ts';
import type { Home } from './container/home.ts';
import type { Result } from './container/result.ts';
import { runContainer } from './container/run.ts';
import { type Issue, RuntsError, specError } from './errors.ts';
import { type Check, examine } from './host/doctor.ts';
import type { Host } from './host/host.ts';
import { probeFacts } from './host/probe.ts';
import { createHost } from './node/host.ts';
import type { Facts } from './plan/facts.ts';
import type { ContainerOptions, RunOptions } from './spec/options.ts';

export interface RuntimeOptions {
  /** Where unpacked root file systems are kept. Default `$XDG_DATA_HOME/runts`, as root `/var/lib/runts`. */
  readonly root?: string;
  /** Where state is kept. Default `$XDG_RUNTIME_DIR/runts`, as root `/run/runts`. */
  readonly state?: string;
}

/** Owns containers: all of them go when it is disposed, and when this process ends by whatever means. */
export class Runtime implements AsyncDisposable {
  readonly #host: Host;
  readonly #containers = new Set<Container>();
  readonly #home: Home;
  /** What is being made or run at the moment: a disposal waits for it. */
  readonly #work = new Set<Promise<unknown>>();
  #facts: Promise<Facts> | undefined;
  #disposed = false;

  constructor(host: Host) {
    this.#host = host;
    this.#home = {
      host,
      facts: () => {
        this.#facts ??= probeFacts(host);
        return this.#facts;
      },
      newId: () => Buffer.from(host.random(32)).toString('hex'),
      adopt: (container) => {
        this.#mustExist();
        this.#containers.add(container);
      },
      forget: (container) => void this.#containers.delete(container),
    };
  }

  /** Makes a container, which waits for its `start()`. */
  readonly createContainer = (options: ContainerOptions): Promise<Container> =>
    this.#follow(() => Container.create(this.#home, options));

  /** Runs a command in a container of its own, to its end. Rejects with ExitError unless `reject: false`. */
  readonly run = (
    options: (ContainerOptions & RunOptions) | string,
    command?: readonly string[],
    more?: RunOptions,
  ): Promise<Result> =>
    this.#follow(() =>
      runContainer(
        this.#home,
        typeof options === 'string' ? { image: options, ...(command && { command }), ...more } : options,
      ),
    );

  /** The containers that are there, in the order they were made. */
  async containers(): Promise<ContainerInfo[]> {
    return Promise.all([...this.#containers].map((container) => container.inspect()));
  }

  /** What this host can do, tried out; for each thing it cannot, why and what to do about it. */
  check(): Promise<Check[]> {
    return examine(this.#host);
  }

  /** Removes every container, and those that are being made: they fail. Nothing can be made any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await Promise.all([...this.#containers].map((container) => container.remove({ force: true })));
    await Promise.allSettled(this.#work);
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
  const issues: Issue[] = [];
  for (const [name, path] of Object.entries(options)) {
    if (name !== 'root' && name !== 'state')
      issues.push({ path: `/${name}`, message: 'unknown option; there are root and state' });
    else if (typeof path !== 'string' || !isAbsolute(path))
      issues.push({ path: `/${name}`, message: `must be an absolute path, not ${String(path)}` });
  }
  if (issues.length > 0) throw specError('cannot make a runtime of these options', issues);
  const host = createHost();
  const { root = host.environment.dataDirectory, state = host.environment.stateDirectory } = options;
  return new Runtime({ ...host, environment: { ...host.environment, dataDirectory: root, stateDirectory: state } });
}
