import { RuntsError } from '../errors.ts';
import type { Maps } from '../plan/plan.ts';
import { copyingProgram, zygoteProgram, zygoteTag } from '../plan/zygote.ts';
import { namespaceFlags } from '../spec/names.ts';
import { within } from './cancel.ts';
import { errnoOf } from './failure.ts';
import type { Host, Session, SpawnRequest } from './host.ts';
import { startProgram } from './program.ts';
import { abandon, endSession } from './session.ts';

/** How long a zygote may take to start, and to clone: what is slower is stuck, and killed. */
const deadlineMs = 10_000;

/**
 * Starts a process that clones inits whose id maps are written; without maps, one that makes copies of itself. `ended` hears when
 * it will do so no more, by whatever means: no request may be made then.
 */
export async function startZygote(host: Host, maps: Maps | undefined, ended: () => void): Promise<Zygote> {
  const program = {
    segment: maps === undefined ? copyingProgram() : zygoteProgram(maps),
    flags: maps === undefined ? 0 : namespaceFlags.user,
    maps,
    tag: zygoteTag,
    doing: 'start a zygote',
  };
  return new Zygote(host, await startProgram(host, program, { deadlineMs }), ended);
}

/** A zygote. It keeps nobody alive but those who wait for an answer. */
export class Zygote {
  readonly #host: Host;
  readonly #session: Session;
  readonly #ended: () => void;
  /** The requests without an answer, also those that nobody waits for any more. */
  readonly #asked = new Set<Promise<Session>>();
  #ending: Promise<void> | undefined;

  constructor(host: Host, session: Session, ended: () => void) {
    this.#host = host;
    this.#session = session;
    this.#ended = ended;
    session.hold(false);
    // Killed by others, while nobody asks.
    void session.exit.then(() => this.#end());
  }

  /** An init. Rejects where it made none: then it can still be made in another way. */
  async spawn(request: SpawnRequest): Promise<Session> {
    try {
      const made = await within(this.#ask(request), {
        clock: this.#host.clock,
        deadlineMs,
        doing: 'waiting for a zygote',
        late: (late) => abandon(this.#host, late),
      });
      if (made.mapped === true) return made;
      await abandon(this.#host, made);
      throw new RuntsError('ERR_INTERNAL', 'a zygote could not write the id maps of an init');
    } catch (error) {
      // The kernel may refuse one request and not the next; but who has ended, or is stuck, is replaced.
      if (errnoOf(error) === 'EPIPE' || isBroken(error)) void this.#end();
      throw error;
    }
  }

  /** To be asked for copies of it (`Processes.forkBy`), where it makes those. */
  get session(): Session {
    return this.#session;
  }

  /** Hears why it made no copy. */
  failed(error: unknown): void {
    if (areEnds.includes(errnoOf(error) ?? '')) void this.#end();
  }

  /** Ends it, when it has answered what it was asked for. */
  async close(): Promise<void> {
    this.#ended();
    await this.#answers();
    await this.#end();
  }

  async #ask(request: SpawnRequest): Promise<Session> {
    const { processes } = this.#host;
    const answer = processes.spawnBy(this.#session, request);
    this.#asked.add(answer);
    if (this.#asked.size === 1) this.#session.hold(true);
    try {
      return await answer;
    } finally {
      this.#asked.delete(answer);
      if (this.#asked.size === 0) this.#session.hold(false);
    }
  }

  /**
   * Kills it, at once; then takes what it has answered before: whoever has asked gets it, or kills it. Only then its channel is
   * closed, since what is in it is children of ours.
   */
  #end(): Promise<void> {
    this.#ending ??= (async () => {
      const { processes } = this.#host;
      this.#ended();
      processes.signal(this.#session.process, 9);
      await this.#answers();
      await endSession(this.#host, this.#session, deadlineMs);
    })().catch(ignore); // it was killed: there is nothing else to be done, and nobody to be told
    return this.#ending;
  }

  /** Waits until every request has an answer; but not for one that is stuck in the kernel. */
  async #answers(): Promise<void> {
    const all = Promise.all([...this.#asked].map((answer) => answer.then(ignore, ignore)));
    await within(all, { clock: this.#host.clock, deadlineMs, doing: 'waiting for the answers of a zygote' }).catch(
      ignore,
    );
  }
}

/**
 * Whether there may be an init that does what it is there for, in spite of this error (`Processes.forkBy`, and where nobody has heard of
 * it in time): nobody is to make another.
 */
export const mayHaveBegun = (error: unknown): boolean =>
  ['ETIMEDOUT', 'EMFILE'].includes(errnoOf(error) ?? '') || isBroken(error);

const areEnds = ['EPIPE', 'ETIMEDOUT'];

const isBroken = (error: unknown) =>
  RuntsError.is(error) && (error.code === 'ERR_TIMEOUT' || error.code === 'ERR_INTERNAL');

const ignore = (): void => {};
