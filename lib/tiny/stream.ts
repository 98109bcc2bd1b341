import type { Stream } from '../host/host.ts';
import { forget, readable, type Watched, watch, writable } from './loop.ts';
import type { NativeHandle } from './native.ts';
import { call, errno, must, system } from './system.ts';

const readBytesMax = 64 * 1024;

/** Talks over a connected, non-blocking socket, which it takes over. It holds the loop while somebody waits. */
export class SocketStream implements Stream {
  readonly #socket: NativeHandle;
  readonly #path: string;
  #waiting: Watched | undefined;

  constructor(socket: NativeHandle, path: string) {
    this.#socket = socket;
    this.#path = path;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let left = bytes; left.length > 0; ) {
      const n = system.send(this.#socket.fd, left, []);
      if (n === -errno.again) await this.#until(writable);
      else left = left.subarray(must(n, 'write', this.#path));
    }
  }

  async read(): Promise<Uint8Array | undefined> {
    const bytes = new Uint8Array(readBytesMax);
    for (;;) {
      const n = call.read(this.#socket.fd, bytes, bytes.length);
      if (n === -errno.again) await this.#until(readable);
      else return must(n, 'read', this.#path) === 0 ? undefined : bytes.slice(0, n);
    }
  }

  /** Whoever waits finds out by the call that it makes then. */
  close(): void {
    this.#socket.close();
    this.#waiting?.ready(0);
  }

  #until(events: number): Promise<void> {
    return new Promise((resolve) => {
      const entry = watch(this.#socket.fd, events, () => {
        forget(entry);
        if (this.#waiting === entry) this.#waiting = undefined;
        resolve();
      });
      this.#waiting = entry;
    });
  }
}
