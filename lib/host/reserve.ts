import type { Facts } from '../plan/facts.ts';
import { ownerMaps } from '../plan/keeper.ts';
import type { Handle, Host } from './host.ts';
import { privateDirectory, type Reserved, type Standing } from './image.ts';
import { type Kept, keep } from './keepers.ts';
import { removeTrees } from './layers.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo } from './undo.ts';

export interface ReserveRequest {
  readonly host: Host;
  facts(): Promise<Facts>;
  newId(): string;
}

/** Empty, and locked for as long as whoever has made it is there. */
const noteName = 'container.json';

/**
 * One directory made ahead of the next container of an image: while nobody waits for it. It is beside those of containers
 * until it is one's, so that nobody takes it for a container.
 */
export class Reserve {
  readonly #request: ReserveRequest;
  #kept: Reserved | undefined;
  #making: Promise<void> | undefined;
  /** Somebody waits for what is being made. */
  #awaited = false;
  #swept = false;
  #closed = false;

  constructor(request: ReserveRequest) {
    this.#request = request;
  }

  /** What there is, or is being made, for whoever asks first; it is theirs to release. */
  async take(): Promise<Reserved | undefined> {
    if (this.#making !== undefined && !this.#awaited) {
      // Whoever made another would begin later, and end later.
      this.#awaited = true;
      await this.#making;
      this.#awaited = false;
    }
    return this.#taken();
  }

  #taken(): Reserved | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    return kept;
  }

  /** Makes one where there is none. Nobody waits for it, and without it nothing is missed. */
  fill(standing: Standing): void {
    if (this.#closed || this.#making !== undefined || this.#kept !== undefined) return;
    this.#making = this.#fill(standing)
      .catch(() => undefined)
      .finally(() => {
        this.#making = undefined;
      });
  }

  /** Removes what there is; no other is made. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#making;
    const kept = this.#taken();
    await kept?.kept.release();
    kept?.note.close();
  }

  async #fill(standing: Standing): Promise<void> {
    const { host } = this.#request;
    const facts = await this.#request.facts();
    const [containers, reserve] = ['containers', 'reserve'].map((name) => `${host.environment.dataDirectory}/${name}`);
    if (!this.#swept) {
      await privateDirectory(host, reserve!, 'a place for what is made ahead');
      await sweep(host, facts, reserve!);
    }
    // Where all data are removed later on, the next one fails, and then they are looked at again.
    this.#swept = false;
    const undo = new Undo();
    try {
      const made = await make(host, facts, { containers: containers!, reserve: reserve! }, undo, {
        id: this.#request.newId(),
        standing,
      });
      if (this.#closed) await undo.run();
      else this.#kept = made;
      this.#swept = true;
    } catch (error) {
      await undo.run();
      throw error;
    }
  }
}

interface Wanted {
  readonly id: string;
  readonly standing: Standing;
}

/** The keeper hears of it first: it does not mind that there is nothing. */
async function make(
  host: Host,
  facts: Facts,
  { containers, reserve }: { readonly containers: string; readonly reserve: string },
  undo: Undo,
  { id, standing }: Wanted,
): Promise<Reserved> {
  const directories: Handle[] = [];
  const close = (): void => {
    for (const directory of directories) directory.close();
  };
  let kept: Kept;
  try {
    for (const path of [containers, reserve]) directories.push(await host.files.open(path, 'directory'));
    const removals = directories.map((directory) => ({ what: 'tree', directory, name: id }) as const);
    kept = await keep(host, { removals, maps: ownerMaps(undefined, facts) }, { deadlineMs: frameDeadlineMs });
  } finally {
    close();
  }
  undo.add(() => kept.release());
  const path = `${reserve}/${id}`;
  await host.files.makeDirectory(path, 0o700);
  const lock = await host.files.lock(`${path}/${noteName}`);
  undo.add(() => lock.close());
  const { write, close: closeNote } = await standing.make(path);
  undo.add(closeNote);
  const note = {
    write,
    close(): void {
      closeNote();
      lock.close();
    },
  };
  return { id, path, form: standing.form, kept, note };
}

/** Removes what processes have left that were killed together with their keepers. */
async function sweep(host: Host, facts: Facts, reserve: string): Promise<void> {
  for (const id of await host.files.list(reserve)) {
    const lock = await host.files.lock(`${reserve}/${id}/${noteName}`).catch(() => undefined);
    if (lock === undefined) continue;
    try {
      await removeTrees(host, reserve, [id], ownerMaps(undefined, facts));
    } finally {
      lock.close();
    }
  }
}
