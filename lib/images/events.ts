/** What became of an image. */
export interface ImageEvent {
  readonly type: 'image';
  readonly action: 'pull' | 'push' | 'load' | 'save' | 'import' | 'commit' | 'tag' | 'untag' | 'delete' | 'prune';
  /** Of the image, where it has one still; or the name that it is about. */
  readonly id: string;
  /** In full; undefined where it is not by a name. */
  readonly reference: string | undefined;
  readonly at: Date;
}

/** What waits at most for somebody who listens and does not read. */
const waitingMax = 10_000;

/** Tells everybody who listens, each in their own time. */
export class Events<T> {
  readonly #listeners = new Set<(event: T) => void>();

  emit(event: T): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** What happens from the call on, until the signal or until it is left. */
  listen(signal?: AbortSignal): AsyncIterableIterator<T> {
    const waiting: T[] = [];
    let wake: (() => void) | undefined;
    const hear = (event: T): void => {
      if (waiting.length === waitingMax) waiting.shift();
      waiting.push(event);
      wake?.();
    };
    const listeners = this.#listeners;
    const stop = (): void => {
      listeners.delete(hear);
      wake?.();
    };
    listeners.add(hear);
    signal?.addEventListener('abort', stop, { once: true });
    async function* events(): AsyncGenerator<T> {
      try {
        while (listeners.has(hear) && signal?.aborted !== true) {
          const next = waiting.shift();
          if (next !== undefined) yield next;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      } finally {
        stop();
        signal?.removeEventListener('abort', stop);
      }
    }
    return events();
  }
}
