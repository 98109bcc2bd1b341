import { setTimeout as sleep } from 'node:timers/promises';
import { canceled } from '../../host/cancel.ts';
import { Refusal, Transient } from './failure.ts';
import type { Timing } from './timing.ts';

/** Told before each further try: why, and after which wait. */
export type OnRetry = (reason: string, delayMs: number) => unknown;

/** Counts failures in a row, and waits between them: twice as long each time, and never the same for two clients. */
export class Backoff {
  readonly #timing: Timing;
  readonly #signal: AbortSignal | undefined;
  readonly #onRetry: OnRetry | undefined;
  #failures = 0;

  constructor(timing: Timing, signal: AbortSignal | undefined, onRetry?: OnRetry) {
    this.#timing = timing;
    this.#signal = signal;
    this.#onRetry = onRetry;
  }

  /** Something was gained since the last failure. */
  reset(): void {
    this.#failures = 0;
  }

  /** Returns when it is time to try again; throws what is to be thrown where it is not. */
  async wait(error: unknown): Promise<void> {
    if (this.#signal?.aborted) throw canceled(this.#signal, 'talking to a registry');
    if (error instanceof Refusal) throw error.error;
    if (!(error instanceof Transient)) throw error;
    this.#failures += 1;
    const { attempts, retryAfterMsMax } = this.#timing;
    const delayMs = Math.max(this.#delayMs(), error.retryAfterMs ?? 0);
    if (this.#failures >= attempts || delayMs > retryAfterMsMax) throw error.error;
    await this.#onRetry?.(error.message, delayMs);
    await sleep(delayMs, undefined, { signal: this.#signal }).catch(() => {
      throw canceled(this.#signal!, 'waiting to ask a registry again');
    });
  }

  #delayMs(): number {
    const { backoffMs, backoffMsMax } = this.#timing;
    const full = Math.min(backoffMs * 2 ** (this.#failures - 1), backoffMsMax);
    return Math.round(full * (0.5 + Math.random() / 2));
  }
}

/** Does work until it succeeds, fails for good, or has failed too often. A Refusal comes out as what it is. */
export async function retried<T>(work: () => Promise<T>, backoff: Backoff): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refusal) throw error;
      await backoff.wait(error);
    }
  }
}
