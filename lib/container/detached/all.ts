import type { ContainerOptions } from '../../spec/options.ts';
import type { Home } from '../home.ts';
import { DetachedContainer } from './container.ts';
import { createDetached, mustBeFree } from './create.ts';
import { listRecords, placeOf } from './record.ts';
import { attend, isWanted } from './restart.ts';
import { sweepDetached } from './sweep.ts';

/** The detached containers of a data directory, as one runtime sees them. */
export class DetachedContainers {
  readonly #home: Home;
  /** Those that this runtime looks after, by id. */
  readonly #watched = new Map<string, Promise<void>>();
  readonly #leaving = new AbortController();

  constructor(home: Home) {
    this.#home = home;
  }

  async create(options: ContainerOptions): Promise<DetachedContainer> {
    const { place, record } = await createDetached(this.#home, options);
    const { id, name } = record;
    this.#home.tell({ type: 'container', action: 'create', id, name, at: new Date() });
    return new DetachedContainer(this.#home, place, record, options.ready);
  }

  /** Refuses the name of one of them for a container that is none. */
  mustNotHave(name: string): Promise<void> {
    return mustBeFree(this.#home, name, { parts: false });
  }

  async list(): Promise<DetachedContainer[]> {
    const records = await listRecords(this.#home.host);
    return records.map((record) => new DetachedContainer(this.#home, placeOf(this.#home.host, record.id), record));
  }

  /** Looks after all that there are: those that their policy wants to run are started, and from now on again. */
  async restore(signal: AbortSignal | undefined): Promise<void> {
    const errors: unknown[] = [];
    await sweepDetached(this.#home);
    for (const container of await this.list()) {
      if (signal?.aborted) break;
      try {
        const { record, state, exit } = await container.ending();
        if (exit === undefined) {
          if (state.process !== undefined) this.watch(container);
        } else if (isWanted(record, state, exit, 'restore')) {
          await container.startAgain((now, ended) => isWanted(record, now, ended, 'restore'));
        }
      } catch (error) {
        // The others are not kept from it.
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} containers could not be restored`);
  }

  watch(container: DetachedContainer): void {
    const { id } = container;
    if (this.#watched.has(id) || this.#leaving.signal.aborted) return;
    const done = attend(container, this.#leaving.signal).finally(() => this.#watched.delete(id));
    this.#watched.set(id, done);
  }

  /** They stay, and nobody looks after them any more. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    await Promise.all(this.#watched.values());
  }
}
