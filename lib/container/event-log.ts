import { Events } from '../images/events.ts';

/** What is remembered, for those who ask for the past. */
const pastMax = 1000;

/** Which events `runtime.events()` gives. */
export interface EventsOptions {
  /** Also what has happened from this moment on, as far as it is remembered: the last 1000 events. */
  readonly since?: Date | undefined;
  /** Ends the iteration. */
  readonly signal?: AbortSignal | undefined;
}

/** Events as they come, and the last of them. */
export class EventLog<T extends { readonly at: Date }> {
  readonly #coming = new Events<T | 'end'>();
  readonly #past: T[] = [];
  #ended = false;

  tell(event: T): void {
    this.#past.push(event);
    if (this.#past.length > pastMax) this.#past.shift();
    this.#coming.emit(event);
  }

  /** Whoever listens gets what has been told, and then the end. */
  end(): void {
    this.#ended = true;
    this.#coming.emit('end');
  }

  /** What happens from this call on, until the signal, the end, or until it is left. */
  listen({ since, signal }: EventsOptions = {}): AsyncIterableIterator<T> {
    const past = since === undefined ? [] : this.#past.filter(({ at }) => at >= since);
    const coming = this.#ended ? undefined : this.#coming.listen(signal);
    async function* events(): AsyncGenerator<T> {
      try {
        yield* past;
        if (coming === undefined) return;
        for await (const event of coming) {
          if (event === 'end') return;
          yield event;
        }
      } finally {
        await coming?.return?.();
      }
    }
    return events();
  }
}
