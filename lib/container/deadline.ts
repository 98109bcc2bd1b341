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
  readonly #reached: Promise<void>;
  #reach!: () => void;
  #isMade = false;

  constructor(timeout: number | undefined, cancel: AbortSignal | undefined) {
    this.#reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#timeout = timeout;
    this.#making = timeout === undefined && cancel === undefined ? undefined : new AbortController();
    this.#timer = timeout === undefined ? undefined : setTimeout(() => this.#end('timedOut'), timeout);
    this.#cancel = cancel;
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

  async making<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!this.timedOut) throw error;
      throw new RuntsError('ERR_TIMEOUT', `the command was not running after ${this.#timeout} ms`, { cause: error });
    }
  }

  async untilExit(subject: Stoppable): Promise<Exit> {
    this.#isMade = true;
    const exit = await Promise.race([subject.wait(), this.#reached]);
    return exit ?? subject.stop({ grace: graceMs });
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#cancel?.removeEventListener('abort', this.#aborted);
  }

  #end(why: 'timedOut' | 'canceled'): void {
    if (this.timedOut || this.canceled) return;
    this[why] = true;
    this.#reach();
    if (!this.#isMade) this.#making?.abort(this.#cancel?.reason);
  }
}
