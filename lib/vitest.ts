import { randomUUID } from 'node:crypto';
import { type TestAPI, type TestContext, test as vitestTest } from 'vitest';
import {
  type Container,
  type ContainerOptions,
  createRuntime,
  type Runtime,
  RuntsError,
  type Snapshot,
} from './index.ts';

/** A container of tests: what `createContainer` takes, and what is to be done with it once. */
export type ContainerFixture = ContainerOptions & {
  /**
   * Fills it, before there is any test: done once in each worker, with a container that is then stopped. Those of the tests are
   * made of what it left. The container must be made of an image.
   */
  readonly prepare?: (container: Container) => Promise<unknown>;
  /** It goes after its test, file or worker. */
  readonly detached?: false;
};

export interface ContainersOptions<Own extends object = object> {
  /** For whom a container is: each test (the default), each file, or each worker. */
  readonly scope?: 'test' | 'file' | 'worker';
  /** Milliseconds for a container to be started and ready. Default 30,000. */
  readonly timeout?: number;
  /** How many of the last lines of each container a failure shows. Default 20. */
  readonly logLines?: number;
  /** Whose containers they are. Default: one for each worker. */
  readonly runtime?: Runtime;
  /** What is extended; the `test` of vitest unless given. */
  readonly test?: TestAPI<Own>;
}

/**
 * The `test` of vitest, with containers by name in its context: ready when a test begins that names one, and removed after the
 * test, the file or the worker. What a container wrote last is told with the failure of a test that uses it.
 */
export function withContainers<Name extends string, Own extends object = object>(
  containers: Readonly<Record<Name, ContainerFixture>>,
  options: ContainersOptions<Own> = {},
): TestAPI<Own & Record<Name, Container>> {
  const { scope = 'test', test } = options;
  const base = (test ?? vitestTest) as TestAPI;
  const names = Object.keys(containers) as Name[];
  const makers = names.map((name) => [name, new Maker(name, containers[name], options)] as const);
  const fixtures = Object.fromEntries(makers.map(([name, maker]) => [name, [fixtureOf(maker, scope), { scope }]]));
  const shared = scope === 'test' ? {} : { [`logs of ${names.join(', ')}`]: [logsOf(makers), { auto: true }] };
  return base.extend({ ...fixtures, ...shared } as object) as unknown as TestAPI<Own & Record<Name, Container>>;
}

type Use<T> = (value: T) => Promise<void>;

// Vitest reads what a fixture wants from the text of its first parameter.
function fixtureOf(maker: Maker, scope: 'test' | 'file' | 'worker') {
  if (scope === 'test') {
    return async ({ onTestFailed, task }: TestContext, use: Use<Container>): Promise<void> => {
      await using container = await maker.make();
      onTestFailed(() => maker.tell(task, container));
      await use(container);
    };
  }
  // biome-ignore lint/correctness/noEmptyPattern: what vitest wants of a fixture that needs nothing.
  return async ({}, use: Use<Container>): Promise<void> => {
    await using container = await maker.make();
    maker.shared.add(container);
    await use(container);
    maker.shared.delete(container);
  };
}

/** Of containers that several tests share, a test is told what they wrote while it ran. */
function logsOf(makers: readonly (readonly [string, Maker])[]) {
  return async ({ onTestFailed, task }: TestContext, use: Use<undefined>): Promise<void> => {
    const since = new Date();
    onTestFailed(async () => {
      for (const [, maker] of makers) for (const container of maker.shared) await maker.tell(task, container, since);
    });
    await use(undefined);
  };
}

let ownRuntime: Runtime | undefined;

/** Makes the containers of one name. */
class Maker {
  /** Those that more than one test may use. */
  readonly shared = new Set<Container>();
  readonly #name: string;
  readonly #fixture: ContainerFixture;
  readonly #options: ContainersOptions<never>;
  #prepared: Promise<Snapshot> | undefined;

  constructor(
    name: string,
    fixture: ContainerFixture,
    { timeout, logLines, runtime }: Omit<ContainersOptions, 'test'>,
  ) {
    if ((fixture as ContainerOptions).detached === true) {
      throw new RuntsError('ERR_SPEC', `the container ${name} of tests cannot be detached: it goes with them`, {
        origin: '/detached',
        hint: 'Leave `detached` away, or make it with createContainer.',
      });
    }
    this.#name = name;
    this.#fixture = fixture;
    this.#options = { timeout: timeout ?? 30_000, logLines: logLines ?? 20, ...(runtime && { runtime }) };
  }

  async make(): Promise<Container> {
    const { prepare, ...options } = this.#fixture;
    if (prepare === undefined) return this.#start(options);
    this.#prepared ??= this.#prepare(options, prepare);
    return this.#start({ from: await this.#prepared });
  }

  /** Adds the last lines of a container to what is told of a failure. */
  async tell({ result }: TestContext['task'], container: Container, since?: Date): Promise<void> {
    const error = result?.errors?.at(-1);
    if (error === undefined) return;
    const tail = this.#options.logLines as number;
    const lines: string[] = [];
    for await (const { text } of container.logs({ ...(since && { since }) })) {
      lines.push(text.slice(0, columnsMax));
      if (lines.length > tail) lines.shift();
    }
    const said = lines.length === 0 ? ' nothing' : `\n${lines.map((line) => `  ${line}`).join('\n')}`;
    const plain = error.message;
    error.message = `${plain}\n\nthe container ${this.#name} wrote last:${said}`;
    // Some reporters show the one, some the other.
    if (error.stack !== undefined) error.stack = error.stack.replace(plain, () => error.message);
  }

  /** A failure of the preparation is that of every test: it is not tried again. */
  async #prepare(options: ContainerOptions, prepare: (container: Container) => Promise<unknown>): Promise<Snapshot> {
    await using container = await this.#start(options);
    await prepare(container);
    // What was only in the memory of its programs is on disk then.
    await container.stop();
    // Awaited here: the container is gone when this function ends.
    return await container.snapshot();
  }

  async #start(options: ContainerOptions): Promise<Container> {
    ownRuntime ??= this.#options.runtime === undefined ? createRuntime() : undefined;
    const runtime = this.#options.runtime ?? (ownRuntime as Runtime);
    const name = options.name ?? `${this.#name}-${randomUUID().slice(0, 8)}`;
    const container = await runtime.createContainer({ ...options, name });
    // A failed start removes it.
    return container.start({ timeout: this.#options.timeout as number });
  }
}

/** Of a line that is shown. */
const columnsMax = 400;
