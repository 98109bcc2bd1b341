import type { ContainerOptions } from '../spec/options.ts';
import { footingOf, isCurrent, mustBeComparable } from './footing.ts';
import type { Home } from './home.ts';
import { type Made, make } from './made.ts';
import { type WarmContainers, warmText } from './warm-options.ts';

export interface PoolRequest {
  readonly warm: readonly WarmContainers[];
  readonly home: () => Home;
  /** Comes before anything is made. */
  begin(): Promise<void>;
}

/** A container that is ready to start, and nobody's. */
interface Standing {
  readonly made: Made;
  readonly footing: string;
  /** Somebody has killed it. */
  isDead: boolean;
}

/** Those of one kind. */
interface Shelf {
  readonly text: string;
  readonly options: ContainerOptions;
  readonly size: number;
  readonly standing: Standing[];
}

/**
 * Containers that are made ahead, one after the other, while nobody waits for them. What cannot be made is not told: whoever
 * asks for it has it made in the ordinary way, and hears what is wrong.
 */
export class Pool {
  readonly #request: PoolRequest;
  readonly #shelves: readonly Shelf[];
  /** Of those that are made, or are being made, and nobody's. */
  readonly #ids = new Set<string>();
  readonly #leaving = new Set<Promise<unknown>>();
  #filling: Promise<void> | undefined;
  /** Somebody has asked for it while it was being filled. */
  #again = false;
  #closed = false;

  constructor(request: PoolRequest) {
    this.#request = request;
    this.#shelves = request.warm.flatMap(({ size, container }) => {
      const text = warmText(container);
      // Nobody is asked for anything here: what is not stored is not brought.
      const options = { ...container, ...(container.image !== undefined && { pull: 'never' as const }) };
      return text === undefined ? [] : [{ text, options: options as ContainerOptions, size, standing: [] }];
    });
  }

  /** Whether a container is nobody's. */
  has(id: string): boolean {
    return this.#ids.has(id);
  }

  /** One of equal options, for whoever asks first; undefined where there is none that is as it would be if it was made now. */
  async take(options: ContainerOptions): Promise<Made | undefined> {
    const text = this.#shelves.length === 0 ? undefined : warmText(options);
    const shelf = text === undefined ? undefined : this.#shelves.find((each) => each.text === text);
    const standing = shelf?.standing.shift();
    if (shelf === undefined || standing === undefined) return undefined;
    const { made, footing } = standing;
    const seen = { options: shelf.options, prepared: made.prepared, footing };
    const current = await isCurrent(this.#request.home(), seen).catch(() => false);
    if (!current) this.#discard(standing, ...shelf.standing.splice(0));
    else if (standing.isDead || this.#closed) this.#discard(standing);
    else if (options.signal?.aborted === true) shelf.standing.unshift(standing);
    else {
      this.#ids.delete(made.id);
      return made;
    }
    return undefined;
  }

  /** Makes what is missing, in a moment. */
  fillSoon(): void {
    if (this.#shelves.length > 0) setImmediate(() => this.#fill()).unref();
  }

  /** Makes what is missing: fulfilled with how many there are once none is being made. */
  async filled(): Promise<number> {
    await this.#fill();
    return this.#shelves.reduce((sum, { standing }) => sum + standing.length, 0);
  }

  /** Ends all of them; no other is made. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#filling;
    for (const { standing } of this.#shelves) this.#discard(...standing.splice(0));
    await Promise.all(this.#leaving);
  }

  #fill(): Promise<void> {
    this.#again = true;
    this.#filling ??= this.#fillAll().finally(() => {
      this.#filling = undefined;
    });
    return this.#filling;
  }

  async #fillAll(): Promise<void> {
    while (this.#again && !this.#closed) {
      this.#again = false;
      for (const shelf of this.#shelves) {
        while (!this.#closed && shelf.standing.length < shelf.size) {
          const standing = await this.#make(shelf.options).catch(() => undefined);
          if (standing === undefined) break;
          shelf.standing.push(standing);
          this.#watch(shelf, standing);
        }
      }
    }
  }

  /** A directory that something is mounted over may have been made by the first one: the next has the footing of all. */
  async #make(options: ContainerOptions): Promise<Standing | undefined> {
    await this.#request.begin();
    if (await this.#wantsVolumes(options)) return undefined;
    for (let i = 0; i < 2; i++) {
      const standing = await this.#makeOne(options);
      const home = this.#request.home();
      if ((await footingOf(home, standing.made.prepared, options)) === standing.footing) return standing;
      this.#discard(standing);
    }
    return undefined;
  }

  async #makeOne(options: ContainerOptions): Promise<Standing> {
    const home = this.#request.home();
    let footing = '';
    let id = '';
    try {
      const made = await make(home, options, {
        late: true,
        begun: (its) => {
          id = its;
          this.#ids.add(id);
        },
        async foreseen(prepared) {
          mustBeComparable(prepared);
          footing = await footingOf(home, prepared, options);
        },
      });
      return { made, footing, isDead: false };
    } catch (error) {
      this.#ids.delete(id);
      throw error;
    }
  }

  /** An image may say so: they would be made along with it, for everybody to see. */
  async #wantsVolumes({ image }: ContainerOptions): Promise<boolean> {
    if (image === undefined) return false;
    const { host, images } = this.#request.home();
    const opened = await images.open(image, { environment: host.environment, pull: 'never', cancel: undefined });
    await opened.close();
    return Object.keys(opened.config.Volumes ?? {}).length > 0;
  }

  #watch(shelf: Shelf, standing: Standing): void {
    void standing.made.run.created.session.exit.then(() => {
      standing.isDead = true;
      const at = shelf.standing.indexOf(standing);
      if (at !== -1) this.#discard(...shelf.standing.splice(at, 1));
    });
  }

  #discard(...all: readonly Standing[]): void {
    for (const { made } of all) {
      // What is left of it is removed by its keepers at our end.
      const leaving = made.undo.run().finally(() => {
        this.#ids.delete(made.id);
        this.#leaving.delete(leaving);
      });
      this.#leaving.add(leaving);
    }
  }
}
