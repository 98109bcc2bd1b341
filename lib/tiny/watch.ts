import { RuntsError } from '../errors.ts';
import type { Watch } from '../host/host.ts';
import { forget, readable, type Watched, watch as watchDescriptor } from './loop.ts';
import { call, must, o } from './system.ts';

/** IN_MODIFY, IN_ATTRIB, IN_DELETE_SELF, IN_MOVE_SELF. */
const changes = 0x2 | 0x4 | 0x400 | 0x800;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Hears of changes to one file by inotify. It holds the loop while somebody waits. */
export class FileWatch implements Watch {
  readonly #queue: number;
  readonly #watched: Watched;
  #waiters: Waiter[] = [];
  /** Since the last call of `changed`. */
  #news = false;
  #closed: unknown = undefined;

  constructor(path: string) {
    this.#queue = must(call.inotify_init1(o.nonblock | o.closeOnExec), 'watch', path);
    const added = call.inotify_add_watch(this.#queue, path, changes);
    if (added < 0) call.close(this.#queue);
    must(added, 'watch', path);
    this.#watched = watchDescriptor(this.#queue, readable, () => this.#heard());
    this.#watched.alive = false;
  }

  changed(): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#news) {
      this.#news = false;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#watched.alive = true;
    });
  }

  close(): void {
    if (this.#closed !== undefined) return;
    this.#closed = new RuntsError('ERR_STATE', 'the file is not watched any more');
    forget(this.#watched);
    call.close(this.#queue);
    for (const { reject } of this.#waiters.splice(0)) reject(this.#closed);
  }

  #heard(): void {
    const events = new Uint8Array(4096);
    while (call.read(this.#queue, events, events.length) > 0);
    this.#news = this.#waiters.length === 0;
    this.#watched.alive = false;
    for (const { resolve } of this.#waiters.splice(0)) resolve();
  }
}
