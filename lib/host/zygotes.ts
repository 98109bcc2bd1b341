import type { Maps } from '../plan/plan.ts';
import { idleMs } from '../plan/zygote.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { ForkRequest, Host, Processes, Session, SpawnRequest, Waiting } from './host.ts';
import { mayHaveBegun, startZygote, type Zygote } from './zygote.ts';

/** Id maps of which there is a zygote each, at most: a program that makes up maps as it goes does without. */
const zygotesMax = 8;

/**
 * The same host, where inits whose id maps take newuidmap and newgidmap come from zygotes: the maps are written once for all
 * of a kind. So do those of commands that are executed once more: a copy of a zygote begins without an exec. Whatever a zygote cannot
 * do is done, or refused with a reason, as without one.
 */
export class Zygotes {
  readonly host: Host;
  readonly #direct: Host;
  #shared: Shared | undefined;
  #closed = false;

  constructor(host: Host) {
    this.#direct = host;
    const own = {
      spawn: (request: SpawnRequest) => this.#spawn(request),
      ahead: (request: ForkRequest) => this.#ahead(request),
    };
    this.host = { ...host, processes: { ...host.processes, ...own } };
  }

  /** From now on every init is cloned by ourselves. With the last that is closed its zygotes end. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#shared?.leave();
  }

  #spawn(request: SpawnRequest): Promise<Session> {
    const { maps, flags, looks } = request;
    if (isCopy(request) && !this.#closed) return this.#copy(request);
    const isMapped = maps?.by === 'newuidmap' && (flags & namespaceFlags.user) !== 0;
    const takesZygote = isMapped && looks === undefined && !this.#closed;
    return takesZygote ? this.#spawnBy(maps, request) : this.#direct.processes.spawn(request);
  }

  async #spawnBy(maps: Maps, request: SpawnRequest): Promise<Session> {
    const direct = () => this.#direct.processes.spawn(request);
    this.#shared ??= sharedOf(this.#direct);
    const zygote = await this.#shared.zygote(maps);
    if (zygote === undefined) return direct();
    return zygote.spawn(request).catch(direct);
  }

  /** The first ones find nobody to make them. */
  #ahead(request: ForkRequest): Waiting | undefined {
    if (this.#closed) return undefined;
    this.#shared ??= sharedOf(this.#direct);
    const zygote = this.#shared.copying;
    if (zygote === undefined) {
      this.#shared.startCopying();
      return undefined;
    }
    try {
      return this.#direct.processes.forkAhead(zygote.session, request);
    } catch (error) {
      zygote.failed(error);
      return undefined;
    }
  }

  async #copy(request: SpawnRequest & ForkRequest): Promise<Session> {
    this.#shared ??= sharedOf(this.#direct);
    const zygote = this.#shared.copying;
    if (zygote !== undefined) {
      try {
        return await this.#direct.processes.forkBy(zygote.session, request);
      } catch (error) {
        zygote.failed(error);
        if (mayHaveBegun(error)) throw error;
      }
    }
    const session = await this.#direct.processes.spawn(request);
    this.#shared.startCopying();
    return session;
  }
}

/** Its errand is at hand, so that it is one that was made before; and whoever copies looks at nothing. */
const isCopy = (request: SpawnRequest): request is SpawnRequest & ForkRequest =>
  request.flags === 0 &&
  request.maps === undefined &&
  request.looks === undefined &&
  request.detached !== true &&
  typeof request.errand === 'object';

/** What all who use the same port of processes have in common: a runtime that is never disposed has no zygote more. */
const shared = new WeakMap<Processes, Shared>();

/** One more user of it. */
function sharedOf(host: Host): Shared {
  const found = shared.get(host.processes) ?? new Shared(host);
  shared.set(host.processes, found);
  found.enter();
  return found;
}

class Shared {
  readonly #host: Host;
  /** By their maps; undefined after the first request of a kind, which is often the only one, and where none starts. */
  readonly #byMaps = new Map<string, Promise<Zygote | undefined> | undefined>();
  #copying: Promise<Zygote | undefined> | undefined;
  #users = 0;
  /** When a copy was asked for last, while there was nobody to make it. */
  #asked = Number.NEGATIVE_INFINITY;
  /** That makes copies of itself, where there is one by now. */
  copying: Zygote | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  enter(): void {
    this.#users++;
  }

  /** The last one ends them all. */
  async leave(): Promise<void> {
    if (--this.#users > 0) return;
    const all = [...this.#byMaps.values(), this.#copying];
    this.#byMaps.clear();
    this.#copying = undefined;
    this.copying = undefined;
    await Promise.all(all.map(async (zygote) => (await zygote)?.close()));
  }

  /** For somebody who was here a moment ago, too. Nobody waits for it; one that cannot be started is not tried again. */
  startCopying(): void {
    const now = this.#host.clock.now();
    const isSoon = now - this.#asked < idleMs;
    this.#asked = now;
    if (!isSoon || this.#users === 0 || this.#copying !== undefined) return;
    const ended = (): void => {
      if (this.#copying !== starting) return;
      this.#copying = undefined;
      this.copying = undefined;
    };
    const starting = startZygote(this.#host, undefined, ended).then(
      (zygote) => {
        if (this.#copying === starting) this.copying = zygote;
        return zygote;
      },
      () => undefined,
    );
    this.#copying = starting;
  }

  /** Undefined where there is to be none. */
  zygote(maps: Maps): Promise<Zygote | undefined> | undefined {
    const key = JSON.stringify([maps.uids, maps.gids, maps.setgroups]);
    const known = this.#byMaps.has(key);
    if (!known && this.#byMaps.size >= zygotesMax) return undefined;
    let zygote = this.#byMaps.get(key);
    if (known && zygote === undefined) {
      const ended = (): void => {
        if (this.#byMaps.get(key) === zygote) this.#byMaps.set(key, undefined);
      };
      zygote = startZygote(this.#host, maps, ended).catch(() => undefined);
    }
    this.#byMaps.set(key, zygote);
    return zygote;
  }
}
