import type { Maps } from '../plan/plan.ts';
import type { Patience } from './bounded.ts';
import type { Host, Kernel } from './host.ts';
import { Keeper, type Kept, type Removal } from './keeper.ts';
import { Undo, withReleaseErrors } from './undo.ts';

export type { Kept, Removal } from './keeper.ts';

export interface KeepRequest {
  /** In the order in which they are removed. */
  readonly removals: readonly Removal[];
  /** The id maps of the container: where it has subordinate ids, only they may remove what those ids own. */
  readonly maps?: Maps | undefined;
}

/** Has something kept by a process that survives us: from now on it goes when we do. */
export async function keep(host: Host, { removals, maps }: KeepRequest, patience: Patience): Promise<Kept> {
  const keepers = keepersOf(host);
  const all: Kept[] = [];
  try {
    for (const removal of removals) all.push(await keepers.keeper(maps).keep(removal, patience));
  } catch (error) {
    throw withReleaseErrors(error, await each(all, (kept) => kept.dismiss()));
  }
  const done = async (errors: Promise<readonly unknown[]>): Promise<void> => {
    const [first, ...others] = await errors;
    if (first !== undefined) throw withReleaseErrors(first, others);
  };
  return {
    release: () => done(each(all, (kept) => kept.release())),
    dismiss: () => done(each(all, (kept) => kept.dismiss())),
  };
}

/** Keepers stay from now on until this is called, also while there is nothing to keep. */
export function holdKeepers(host: Host): () => Promise<void> {
  return keepersOf(host).hold();
}

/** One after the other, whatever fails; gives what did. */
function each(all: readonly Kept[], work: (kept: Kept) => Promise<void>): Promise<readonly unknown[]> {
  const undo = new Undo();
  for (const kept of [...all].reverse()) undo.add(() => work(kept));
  return undo.run();
}

/** What all who use the same kernel have in common: a runtime that is never disposed has no keeper more. */
const shared = new WeakMap<Kernel, Keepers>();

function keepersOf(host: Host): Keepers {
  const found = shared.get(host.kernel) ?? new Keepers(host);
  shared.set(host.kernel, found);
  return found;
}

/** One keeper for all that has the same ids, and another one when that is full. */
class Keepers {
  readonly #host: Host;
  readonly #all = new Map<Keeper, string>();
  #holders = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** One that has room. */
  keeper(maps: Maps | undefined): Keeper {
    const ids = JSON.stringify([maps?.uids, maps?.gids, maps?.setgroups]);
    for (const [keeper, its] of this.#all) if (its === ids && keeper.hasRoom) return keeper;
    const keeper = new Keeper(this.#host, maps, (idle) => this.#idle(idle));
    this.#all.set(keeper, ids);
    return keeper;
  }

  hold(): () => Promise<void> {
    this.#holders++;
    let isHeld = true;
    return async () => {
      if (isHeld) this.#holders--;
      isHeld = false;
      for (const keeper of this.#all.keys()) if (keeper.isIdle) await this.#idle(keeper);
    };
  }

  /** Ends one that keeps nothing, where nobody wants to have it ready for the next time. */
  async #idle(keeper: Keeper): Promise<void> {
    if (this.#holders > 0 && keeper.hasRoom) return;
    this.#all.delete(keeper);
    await keeper.close();
  }
}
