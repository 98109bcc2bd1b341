import type { Cancel } from '../host/cancel.ts';

/** Goes on where we were stopped: the one signal of those that are forwarded which asks nobody to end. */
const continued = 18;

/** A signal to us as the cancellation of what we are making. */
export class Interruption implements Cancel {
  /** The number of the first signal that came. */
  signal: number | undefined;
  readonly #listeners = new Set<() => void>();

  get aborted(): boolean {
    return this.signal !== undefined;
  }

  get reason(): unknown {
    return this.signal === undefined ? undefined : new Error(`signal ${this.signal}`);
  }

  give(signal: number): void {
    if (this.aborted || signal === continued) return;
    this.signal = signal;
    for (const listener of [...this.#listeners]) listener();
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.delete(listener);
  }
}
