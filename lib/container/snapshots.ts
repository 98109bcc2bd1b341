import { RuntsError } from '../errors.ts';
import type { Cancel } from '../host/cancel.ts';
import type { Host } from '../host/host.ts';
import type { ImageRoot, OpenImage, RootPlace, SnapshotPort } from '../host/image.ts';
import { type Kept, keep } from '../host/keepers.ts';
import type { PreparedImage } from '../host/prepare.ts';
import { frameDeadlineMs } from '../host/session.ts';
import { withReleaseErrors } from '../host/undo.ts';
import { containerFile, makeSnapshotRoot, type SnapshotLayer, writeSnapshot } from '../layers/snapshot.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Container } from './container.ts';
import { keptOptions, mustHaveImage, Snapshot, type SnapshotOptions, whilePaused } from './snapshot.ts';

/** What a snapshot is taken of. */
export interface Subject {
  readonly container: Container;
  readonly image: PreparedImage | undefined;
  readonly options: ContainerOptions;
}

/** A snapshot, and what containers that are made of it have of the one it was taken of. */
export interface Taken {
  readonly layer: SnapshotLayer;
  readonly image: PreparedImage;
  readonly options: Partial<ContainerOptions>;
  readonly snapshot: Snapshot;
  readonly kept: Kept;
  /** Ids of the containers that are made of it, or of snapshots above it. */
  readonly users: Set<string>;
  removal?: Promise<void>;
}

export interface SnapshotsRequest {
  readonly host: Host;
  readonly newId: () => string;
  /** What people call a container. */
  readonly nameOf: (id: string) => string;
}

/** The snapshots of a runtime. They go when it is disposed, and when this process ends. */
export class Snapshots implements SnapshotPort {
  readonly #request: SnapshotsRequest;
  readonly #all = new Map<string, Taken>();
  readonly #work = new Set<Promise<unknown>>();
  #closed = false;

  constructor(request: SnapshotsRequest) {
    this.#request = request;
  }

  /** Copies what a container has of its own, into a directory that a keeper removes when we cannot. */
  async take(subject: Subject, options: SnapshotOptions): Promise<Snapshot> {
    const { container } = subject;
    const image = mustHaveImage(container, subject.image);
    options.signal?.throwIfAborted();
    const working = whilePaused(container, options.pause, () => this.#write({ ...subject, image }, options.signal));
    this.#work.add(working);
    try {
      return await working;
    } catch (error) {
      throw RuntsError.is(error) || options.signal?.aborted ? error : failed(container, error);
    } finally {
      this.#work.delete(working);
    }
  }

  async open(id: string): Promise<OpenImage> {
    const taken = this.#find(id);
    const { layer, image, users } = taken;
    const makeRoot = async ({ cancel, ...place }: RootPlace): Promise<ImageRoot> => {
      if (taken.removal !== undefined) throw missing(id);
      users.add(place.id);
      const leave = (): void => void users.delete(place.id);
      try {
        const root = await withSignal(cancel, (signal) => makeSnapshotRoot(place, layer, signal));
        const release = async (): Promise<void> => {
          leave();
          await root.release?.();
        };
        return { ...root, release };
      } catch (error) {
        leave();
        throw error;
      }
    };
    return { identity: image, config: image.config, makeRoot, close: async () => undefined };
  }

  /** Options of a container, over those of the container of the snapshot that it is to be made from; `without` some of them. */
  complete<T extends ContainerOptions>(options: T, without: readonly (keyof ContainerOptions)[] = []): T {
    const from: unknown = (options as Partial<ContainerOptions> | null | undefined)?.from;
    const all = from instanceof Snapshot ? this.#all.get(from.id)?.options : undefined;
    if (all === undefined) return options;
    const kept = { ...all };
    for (const name of without) delete kept[name];
    const both = (name: 'env' | 'labels') =>
      (kept[name] ?? options[name]) === undefined ? {} : { [name]: { ...kept[name], ...options[name] } };
    return { ...kept, ...options, ...both('env'), ...both('labels') };
  }

  /** Removes all of them: no container is left. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#work);
    for (const { snapshot } of [...this.#all.values()].reverse()) await snapshot.remove();
  }

  async #write(
    { container, image, options }: Subject & { readonly image: PreparedImage },
    signal: AbortSignal | undefined,
  ): Promise<Snapshot> {
    const { host } = this.#request;
    const id = this.#request.newId();
    const { snapshots = [], maps } = await containerFile(host, container.id);
    const below = [...snapshots].reverse().map((each) => this.#find(each).layer);
    const parent = await host.files.open(`${host.environment.dataDirectory}/containers`, 'directory');
    const removals = [{ what: 'tree', directory: parent, name: id }] as const;
    const patience = { deadlineMs: frameDeadlineMs, cancel: signal };
    const kept = await keep(host, { removals, maps }, patience).finally(() => parent.close());
    try {
      const layer = await writeSnapshot(host, { container: container.id, id, below, signal });
      if (this.#closed) throw new RuntsError('ERR_STATE', 'cannot take a snapshot: its runtime has been disposed');
      const snapshot = new Snapshot(layer, () => this.#remove(id));
      const users = new Set<string>();
      this.#all.set(id, { layer, image, options: keptOptions(options), snapshot, kept, users });
      return snapshot;
    } catch (error) {
      const errors = await kept.release().then(
        () => [],
        (cause: unknown) => [cause],
      );
      throw withReleaseErrors(error, errors);
    }
  }

  async #remove(id: string): Promise<void> {
    const taken = this.#all.get(id);
    if (taken === undefined) return;
    if (taken.removal === undefined) {
      const users = this.#usersOf(id, taken);
      if (users.length > 0) throw inUse(id, users);
      taken.removal = taken.kept.release().then(() => void this.#all.delete(id));
    }
    return taken.removal;
  }

  #usersOf(id: string, { users }: Taken): string[] {
    const above = [...this.#all.values()].filter(({ layer }) => layer.below.some((each) => each.id === id));
    const containers = [...users].map((user) => `container ${this.#request.nameOf(user)}`);
    return [...containers, ...above.map(({ layer }) => `snapshot ${shown(layer.id)}`)];
  }

  #find(id: string): Taken {
    const taken = this.#all.get(id);
    if (taken === undefined || taken.removal !== undefined) throw missing(id);
    return taken;
  }
}

const shown = (id: string): string => id.slice(0, 12);

const missing = (id: string) =>
  new RuntsError('ERR_NOT_FOUND', `there is no snapshot ${shown(id)}`, {
    origin: '/from',
    hint: 'A snapshot is for the runtime that took it, until it is removed: await snapshot.remove() after the containers.',
  });

const inUse = (id: string, users: readonly string[]) =>
  new RuntsError('ERR_STATE', `cannot remove snapshot ${shown(id)}: it is in use by ${users.join(', ')}`, {
    hint: 'Remove what uses it first.',
  });

const failed = ({ name, status }: Container, cause: unknown) =>
  new RuntsError(
    status === 'stopped' ? 'ERR_STATE' : 'ERR_SETUP',
    `cannot take a snapshot of container ${name}: ${text(cause)}`,
    {
      cause,
    },
  );

const text = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** Streams want the platform's own AbortSignal, which the core does not know. */
async function withSignal<T>(cancel: Cancel | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(cancel?.reason);
  cancel?.addEventListener('abort', abort);
  if (cancel?.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    cancel?.removeEventListener('abort', abort);
  }
}
