import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { GoneProcess } from './gone-process.ts';
import { openHandle } from './handle.ts';
import { type NativeHandle, native } from './native.ts';

interface Wait {
  readonly promise: Promise<void>;
}

/** One watch for all who wait for the same process. */
const waits = new WeakMap<NativeHandle, Wait>();

/**
 * Fulfilled when a process has ended; whose child it is does not matter, nor does anything change for its parent. The
 * event loop is held until then, or until the handle is closed: then it rejects.
 */
export function ended(process: Handle): Promise<void> {
  if (process instanceof GoneProcess) return Promise.resolve();
  const handle = openHandle(process, 'process');
  const under = waits.get(handle);
  if (under !== undefined) return under.promise;
  const promise = new Promise<void>((resolve, reject) => {
    const over = (): void => {
      waits.delete(handle);
      handle.onClose(undefined);
    };
    const watch = new native.Exit(orThrow(native.duplicate(handle.fd)), false, () => {
      over();
      resolve();
    });
    handle.onClose(() => {
      over();
      watch.close();
      reject(new RuntsError('ERR_STATE', 'the process was closed while its end was waited for'));
    });
  });
  waits.set(handle, { promise });
  return promise;
}

/** The same without holding the event loop, for whoever only looks on; `close` gives the watch up, and `ended` stays as it is. */
export function lookOn(process: Handle): { readonly ended: Promise<void>; close(): void } {
  const handle = openHandle(process, 'process');
  let watch: { keepAlive(alive: boolean): void; close(): void } | undefined;
  const ended = new Promise<void>((resolve) => {
    watch = new native.Exit(orThrow(native.duplicate(handle.fd)), false, () => resolve());
    watch.keepAlive(false);
  });
  return { ended, close: () => watch?.close() };
}
