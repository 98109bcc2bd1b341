import { RuntsError } from '../errors.ts';
import type { Cancel, Interruptible } from '../host/cancel.ts';
import type { World } from './world.ts';

/** SIGCONT and SIGTSTP: the signals of those that are forwarded which ask nobody to end. */
const harmless: readonly number[] = [18, 20];

/** The signals that are sent to us: first they cancel what we are making, then they are the command's. */
export class Signals implements Cancel {
  /** The number of the one that canceled. */
  canceledBy: number | undefined;
  /** Since it may run already, though we do not know it yet. */
  #early: number[] | undefined;
  #receiver: ((signal: number) => void) | undefined;
  readonly #listeners = new Set<() => void>();

  get aborted(): boolean {
    return this.canceledBy !== undefined;
  }

  get reason(): unknown {
    return this.canceledBy === undefined ? undefined : new Error(`signal ${this.canceledBy}`);
  }

  give(signal: number): void {
    if (this.#receiver !== undefined) this.#receiver(signal);
    else if (this.#early !== undefined) this.#early.push(signal);
    else if (!this.aborted && !harmless.includes(signal)) this.#cancel(signal);
  }

  /** From now on nothing is canceled: what comes waits for the command. */
  hold(): void {
    this.#early ??= [];
  }

  /** From now on what comes goes there, what has been waiting first. */
  passTo(receiver: (signal: number) => void): void {
    this.#receiver = receiver;
    for (const signal of this.#early?.splice(0) ?? []) receiver(signal);
  }

  /** There is nobody any more whom one could be for: what is left to do is brief, and to be done. */
  drop(): void {
    this.#receiver = () => {};
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }

  #cancel(signal: number): void {
    this.canceledBy = signal;
    for (const listener of [...this.#listeners]) listener();
  }
}

/** For work in which a signal to us means that work alone, and whose error says that it was canceled. */
export const interruptible =
  (world: World): Interruptible =>
  async (work) => {
    const signals = new Signals();
    const silence = world.onSignal((signal) => signals.give(signal));
    try {
      await work(signals);
    } finally {
      silence();
    }
  };

/** Does work that signals cancel, or are passed on by; the exit code is that of the signal where one canceled it. */
export async function underSignals(world: World, work: (signals: Signals) => Promise<number>): Promise<number> {
  const signals = new Signals();
  const silence = world.onSignal((signal) => signals.give(signal));
  try {
    return await work(signals);
  } catch (error) {
    // Whoever sent the signal knows why there is no container.
    if (signals.canceledBy !== undefined && RuntsError.is(error) && error.code === 'ERR_CANCELED') {
      return 128 + signals.canceledBy;
    }
    throw error;
  } finally {
    silence();
  }
}
