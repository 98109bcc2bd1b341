import { type Again, againOf, spawnAgain, usualEnd } from '../host/again.ts';
import type { Prepared } from '../host/prepare.ts';
import { frameDeadlineMs } from '../host/session.ts';
import { briefMs } from '../host/walk.ts';
import { Witness } from '../host/witness.ts';
import { traced } from '../node/debug.ts';
import { openStdio } from '../node/stdio.ts';
import { turn } from '../node/turn.ts';
import type { Facts } from '../plan/facts.ts';
import { dataText, isSameData } from '../spec/data-text.ts';
import type { ContainerOptions, RunOptions } from '../spec/options.ts';
import { Recent } from '../spec/recent.ts';
import { Begun } from './begun.ts';
import type { Home } from './home.ts';
import type { MakeOptions } from './made.ts';
import { targets } from './options.ts';
import { pipeOwner } from './owner.ts';

/** How many different ones are known. */
const repeatsMax = 64;
/** A longer text is not worth its memory. */
const textLengthMax = 64 * 1024;
/** What was another one so many times in a row is not worth to be tried. */
const missesMax = 3;

/** The runs that a runtime is asked for again and again. */
export class Repeats {
  readonly #recent = new Recent<Repeat>(repeatsMax);

  /** One that is known by now, of options as they are given. What they are is what it has. */
  known(options: unknown): Repeat | undefined {
    return this.#recent.match((repeat) => repeat.isKnown && isSameData(options, repeat.options));
  }

  /** Undefined where the options cannot be known again, or somebody is to write to the command. */
  of(options: ContainerOptions & RunOptions): Repeat | undefined {
    if (options.name !== undefined || options.stdin === 'pipe' || options.input !== undefined) return undefined;
    const text = textOf(options);
    if (text === undefined || text.length > textLengthMax) return undefined;
    return this.#recent.get(text, () => new Repeat(JSON.parse(text) as ContainerOptions & RunOptions));
  }
}

/** What cannot be looked at is told by whoever checks it. */
function textOf(options: object): string | undefined {
  try {
    return dataText(options);
  } catch {
    return undefined;
  }
}

interface Known {
  readonly again: Again;
  /** What it was made for; what else there was to be looked at is in `again`. */
  readonly facts: Facts;
  readonly owner: ReturnType<typeof pipeOwner>;
  readonly command: readonly string[];
}

/**
 * A run with certain options, which is asked for again. From the third time on, where it is over in a few milliseconds, the JavaScript
 * thread compiles nothing and looks at nothing: the thread that clones sees to it that everything is as it was when the plan was
 * made, and tells of the container when that has ended. Whatever is unusual is left to the ordinary way.
 */
export class Repeat {
  /** By which it is known: the caller's may say something else each time that they are looked at. */
  readonly options: ContainerOptions & RunOptions;
  #asked = 0;
  #misses = 0;
  #known: Known | undefined;

  constructor(options: ContainerOptions & RunOptions) {
    this.options = options;
  }

  /** Its options are right, for they have been. */
  get isKnown(): boolean {
    return this.#known !== undefined;
  }

  /** Its init, where it is known what that is to do. */
  async begin(home: Home, cancel: AbortSignal | undefined): Promise<Begun | undefined> {
    const known = this.#known;
    if (known === undefined || known.facts !== (await home.facts())) return undefined;
    const id = home.newId();
    // Without a spread, which takes a fifth of all that is done before the clone.
    const { stdin, stdout, stderr } = targets(this.options);
    const stdio = openStdio({ stdin, stdout, stderr, owner: known.owner, late: true });
    const patience = { deadlineMs: frameDeadlineMs, cancel };
    const given = { id, sources: { stdio: stdio.handles, emptyMounts: home.emptyMounts.handle } };
    await turn();
    const session = await spawnAgain(home.host, known.again, given, patience);
    for (const handle of stdio.handles) handle.close();
    if (session === undefined) {
      stdio.close();
      if (cancel?.aborted !== true) this.#misses++;
      this.#known = undefined;
      return undefined;
    }
    this.#misses = 0;
    // The second since the news of this one, after which the host has given way: only from here on what has come since is looked for.
    await turn();
    const { again, command } = known;
    return new Begun({ id, session, stdio, end: usualEnd(session, again.plan), command });
  }

  /** To be learnt from a run in the ordinary way; undefined where there is no need to, or no use. */
  lesson(home: Home): Lesson | undefined {
    this.#asked++;
    if (this.#known !== undefined || this.#asked < 2 || this.#misses >= missesMax) return undefined;
    const witness = new Witness(home.host);
    let known: Known | undefined;
    return {
      home: { ...home, host: witness.host },
      foreseen: async (prepared, id) => {
        known = knownOf(prepared, id, witness.looks, await home.facts());
      },
      learn: () => {
        this.#known = known;
      },
    };
  }

  /** One that takes longer is not worth to be waited for. */
  notice(ms: number): void {
    if (ms > 2 * briefMs) this.#known = undefined;
  }
}

/** A run that is made in this home, so that it is known how it came to be. */
interface Lesson {
  readonly home: Home;
  readonly foreseen: NonNullable<MakeOptions['foreseen']>;
  /** It has ended as it should. */
  learn(): void;
}

function knownOf(prepared: Prepared, id: string, looks: Witness['looks'], facts: Facts): Known | undefined {
  const { plan, image, terminal, ownTime, volumes, command, spec } = prepared;
  const isAlone = image === undefined && !terminal && !ownTime && volumes.length === 0;
  if (looks === undefined || !isAlone || 'trace' in traced(id, plan.segment)) return undefined;
  const again = againOf(plan, id, looks);
  return again && { again, facts, owner: pipeOwner(plan, spec.process!.user, facts.privileged), command };
}
