import { RuntsError } from '../errors.ts';
import type { Maps } from '../plan/plan.ts';
import { zygoteProgram, zygoteTag } from '../plan/zygote.ts';
import { encode } from '../program/encode.ts';
import { namespaceFlags } from '../spec/names.ts';
import { bounded } from './bounded.ts';
import { within } from './cancel.ts';
import { errnoOf } from './failure.ts';
import type { Handle, Host, Session, SpawnRequest } from './host.ts';
import { writeMaps } from './maps.ts';
import { deliver, died, nextMilestone, unexpected } from './progress.ts';
import { Channel, endSession } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

/** Id maps of which there is a zygote each, at most: a program that makes up maps as it goes does without. */
const zygotesMax = 8;

/** How long a zygote may take to start, and to clone: what is slower is stuck, and killed. */
const deadlineMs = 10_000;

/** Something that clones inits whose id maps are written. */
interface Zygote {
  spawn(request: SpawnRequest): Promise<Session>;
  close(): Promise<void>;
}

/**
 * The same host, where inits whose id maps take newuidmap and newgidmap come from zygotes: the maps are written once for all
 * of a kind. Whatever a zygote cannot do is done, or refused with a reason, as without one.
 */
export class Zygotes {
  readonly host: Host;
  readonly #direct: Host;
  /** By their maps; undefined after the first request of a kind, which is often the only one, and where none starts. */
  readonly #byMaps = new Map<string, Promise<Zygote | undefined> | undefined>();
  #closed = false;

  constructor(host: Host) {
    this.#direct = host;
    this.host = { ...host, processes: { ...host.processes, spawn: (request) => this.#spawn(request) } };
  }

  /** Ends them all; from now on every init is cloned by ourselves. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#byMaps.values()];
    this.#byMaps.clear();
    await Promise.all(all.map(async (zygote) => (await zygote)?.close()));
  }

  async #spawn(request: SpawnRequest): Promise<Session> {
    const { maps, flags } = request;
    const direct = () => this.#direct.processes.spawn(request);
    if (maps?.by !== 'newuidmap' || !makesUsers(flags)) return direct();
    const key = JSON.stringify([maps.uids, maps.gids, maps.setgroups]);
    const zygote = await this.#zygote(key, maps);
    if (zygote === undefined) return direct();
    try {
      return await zygote.spawn(request);
    } catch {
      return direct();
    }
  }

  #zygote(key: string, maps: Maps): Promise<Zygote | undefined> | undefined {
    const known = this.#byMaps.has(key);
    if (this.#closed || (!known && this.#byMaps.size >= zygotesMax)) return undefined;
    let zygote = this.#byMaps.get(key);
    if (known && zygote === undefined) {
      const ended = (): void => {
        if (this.#byMaps.get(key) === zygote) this.#byMaps.set(key, undefined);
      };
      zygote = startZygote(this.#direct, maps, ended).catch(() => undefined);
    }
    this.#byMaps.set(key, zygote);
    return zygote;
  }
}

const makesUsers = (flags: number) => (flags & namespaceFlags.user) !== 0;

async function startZygote(host: Host, maps: Maps, ended: () => void): Promise<Zygote> {
  const patience = { deadlineMs };
  const ports = bounded(host, patience);
  const segment = zygoteProgram(maps);
  const undo = new Undo();
  try {
    const session = await ports.processes.spawn({ flags: namespaceFlags.user });
    undo.add(() => endSession(host, session, deadlineMs));
    await writeMaps(ports, session.pid, maps);
    const channel = new Channel(host, session, patience);
    const progress = { segment, facts: undefined, handles: new Map<number, Handle>() };
    await deliver(host, channel, progress, channel.sendProgram(encode(segment), []));
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, deadlineMs);
    if (frame.kind !== 'sync' || frame.tag !== zygoteTag) throw unexpected(frame, 'the zygote to be ready');
    await deliver(host, channel, progress, channel.go(zygoteTag));
    session.hold(false);
    return zygoteOf(host, session, () => {
      ended();
      return undo.run();
    });
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

function zygoteOf(host: Host, session: Session, end: () => Promise<unknown>): Zygote {
  let waiting = 0;
  const hold = (more: number): void => {
    waiting += more;
    if (waiting <= 1) session.hold(waiting > 0);
  };
  const spawn = async (request: SpawnRequest): Promise<Session> => {
    hold(1);
    try {
      const made = await within(host.processes.spawnBy(session, request), {
        clock: host.clock,
        deadlineMs,
        doing: 'waiting for a zygote',
        late: (late) => abandon(host, late),
      });
      if (made.mapped === true) return made;
      await abandon(host, made);
      throw new RuntsError('ERR_INTERNAL', 'a zygote could not write the id maps of an init');
    } finally {
      hold(-1);
    }
  };
  return {
    async spawn(request) {
      try {
        return await spawn(request);
      } catch (error) {
        // The kernel may refuse one request and not the next; but who has ended, or is stuck, is replaced.
        if (errnoOf(error) === 'EPIPE' || RuntsError.is(error)) await end();
        throw error;
      }
    },
    close: async () => void (await end()),
  };
}

/** An init that nobody waits for any more. */
async function abandon({ processes }: Host, session: Session): Promise<void> {
  processes.signal(session.process, 9);
  session.close();
  await session.exit;
  session.process.close();
}
