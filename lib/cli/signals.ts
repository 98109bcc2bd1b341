import type { Cancel } from '../host/cancel.ts';

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
