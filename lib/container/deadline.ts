import { RuntsError } from '../errors.ts';
import type { Exit } from './result.ts';

/** After a timeout or a cancellation, how long the command may take to end by itself. */
const graceMs = 1000;

/** What can be waited for, and asked to end. */
interface Stoppable {
  wait(): Promise<Exit>;
  stop(options: { readonly grace: number }): Promise<Exit>;
}

/** The timeout and the AbortSignal of a command: before it runs they cancel its making, then they stop it. */
export class Deadline {
  timedOut = false;
  canceled = false;
  readonly #timeout: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #cancel: AbortSignal | undefined;
  /** Undefined where nothing can cancel the making: most commands have neither. */
  readonly #making: AbortController | undefined;
  /** Undefined likewise. */
  readonly #reached: Promise<void> | undefined;
  #reach: (() => void) | undefined;
  #isMade = false;

  /** One for all that have neither: nothing of it ever changes. */
  static readonly #none = new Deadline(undefined, undefined);

  static of(timeout: number | undefined, cancel: AbortSignal | undefined): Deadline {
    return timeout === undefined && cancel === undefined ? Deadline.#none : new Deadline(timeout, cancel);
  }

  private constructor(timeout: number | undefined, cancel: AbortSignal | undefined) {
    this.#timeout = timeout;
    this.#cancel = cancel;
    if (timeout === undefined && cancel === undefined) return;
    this.#reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#making = new AbortController();
    this.#timer = timeout === undefined ? undefined : setTimeout(() => this.#end('timedOut'), timeout);
    cancel?.addEventListener('abort', this.#aborted, { once: true });
  }

  readonly #aborted = (): void => this.#end('canceled');

  get signal(): AbortSignal | undefined {
    return this.#making?.signal;
  }

  /** The same as an option. */
  get abortable(): { readonly signal?: AbortSignal } {
    return this.#making === undefined ? {} : { signal: this.#making.signal };
  }

  making<T>(work: () => Promise<T>): Promise<T> {
    return this.#timeout === undefined ? work() : this.#inTime(work);
  }

  async #inTime<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!this.timedOut) throw error;
      throw new RuntsError('ERR_TIMEOUT', `the command was not running after ${this.#timeout} ms`, { cause: error });
    }
  }

  async untilExit(subject: Stoppable): Promise<Exit> {
    if (this.#reached === undefined) return subject.wait();
    this.#isMade = true;
    const exit = await Promise.race([subject.wait(), this.#reached]);
    return exit ?? subject.stop({ grace: graceMs });
  }

  clear(): void {
    if (this.#making === undefined) return;
    clearTimeout(this.#timer);
    this.#cancel?.removeEventListener('abort', this.#aborted);
  }

  #end(why: 'timedOut' | 'canceled'): void {
    if (this.timedOut || this.canceled) return;
    this[why] = true;
    this.#reach?.();
    if (!this.#isMade) this.#making?.abort(this.#cancel?.reason);
  }
}
