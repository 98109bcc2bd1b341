import { Socket } from 'node:net';
import type { Stream } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { systemError } from './failure.ts';
import type { NativeHandle } from './native.ts';

/** What one `read` gives at most. */
const readBytesMax = 64 * 1024;

/** Talks over a connected socket, which it takes over; `path` is for its errors. It holds the event loop while somebody waits. */
export function openStream(handle: NativeHandle, path: string): Stream {
  return new SocketStream(handle, path);
}

class SocketStream implements Stream {
  readonly #socket: Socket;
  readonly #path: string;
  #error: Error | undefined;
  #waits = 0;

  constructor(handle: NativeHandle, path: string) {
    this.#path = path;
    this.#socket = new Socket({ fd: handle.release(), readable: true, writable: true, allowHalfOpen: true });
    this.#socket.unref();
    this.#socket.on('error', (error) => {
      this.#error ??= error;
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#waiting(
      () =>
        new Promise<void>((resolve, reject) => {
          this.#socket.write(bytes, (error) => (error ? reject(this.#error ?? error) : resolve()));
        }),
    );
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#waiting(async () => {
      for (;;) {
        const ready = this.#socket.readableLength;
        const bytes: Buffer | null = this.#socket.read(ready > 0 ? Math.min(ready, readBytesMax) : undefined);
        if (bytes !== null) return bytes;
        if (this.#error !== undefined) throw this.#error;
        if (this.#socket.readableEnded) return undefined;
        if (this.#socket.destroyed) throw systemError(errnoNumber('EBADF'), 'read', this.#path);
        await this.#something();
      }
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  async #waiting<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waits++ === 0) this.#socket.ref();
    try {
      return await work();
    } finally {
      if (--this.#waits === 0) this.#socket.unref();
    }
  }

  /** Until there is something to read, or nothing will come any more. */
  #something(): Promise<void> {
    const events = ['readable', 'end', 'error', 'close'] as const;
    return new Promise((resolve) => {
      const heard = () => {
        for (const event of events) this.#socket.off(event, heard);
        resolve();
      };
      for (const event of events) this.#socket.on(event, heard);
    });
  }
}
