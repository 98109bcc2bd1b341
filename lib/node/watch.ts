import { type FSWatcher, watch as watchFile } from 'node:fs';
import { RuntsError } from '../errors.ts';
import type { Watch } from '../host/host.ts';

/**
 * Hears of changes to one file, by the inotify of Node's event loop, which also tells that it is gone: whoever reads it
 * then finds out. It holds the event loop while somebody waits.
 */
export function watch(path: string): Watch {
  return new FileWatch(path);
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class FileWatch implements Watch {
  readonly #watcher: FSWatcher;
  #waiters: Waiter[] = [];
  /** Since the last call of `changed`. */
  #news = false;
  #closed: unknown = undefined;

  constructor(path: string) {
    this.#watcher = watchFile(path, { persistent: false });
    this.#watcher.on('change', () => this.#heard());
    this.#watcher.on('error', (error) => this.#end(error));
  }

  changed(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#news) {
      this.#news = false;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      if (this.#waiters.push({ resolve, reject }) === 1) this.#watcher.ref();
    });
  }

  close(): void {
    this.#end(new RuntsError('ERR_STATE', 'the file is not watched any more'));
  }

  #heard(): void {
    if (this.#waiters.length === 0) {
      this.#news = true;
      return;
    }
    this.#watcher.unref();
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }

  #end(why: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = why;
    this.#watcher.close();
    for (const { reject } of this.#waiters.splice(0)) reject(why);
  }
}
