import { setImmediate } from 'node:timers/promises';

const sliceMs = 1;

/** Keeps a long loop of synchronous work from holding the event loop for more than a millisecond or so. */
export class Pace {
  readonly #signal: AbortSignal | undefined;
  #start = performance.now();

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** True when it is somebody else's turn; asked between steps, so that the common case awaits nothing. */
  get due(): boolean {
    return performance.now() - this.#start > sliceMs;
  }

  /** Lets the event loop go round once; throws the signal's reason when it was aborted meanwhile. */
  async turn(): Promise<void> {
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#start = performance.now();
  }
}
