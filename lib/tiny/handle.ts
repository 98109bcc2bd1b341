import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { systemError } from '../node/failure.ts';
import { type NativeHandle, native, openAt } from './native.ts';

/** In the place of lib/node/handle.ts: the object behind a handle that this adapter gave out, and that is still open. */
export function openHandle(handle: Handle, what = 'handle'): NativeHandle {
  if (!(handle instanceof native.Handle)) throw new RuntsError('ERR_SPEC', `the ${what} is not a handle of this runts`);
  if (handle.fd < 0) throw new RuntsError('ERR_STATE', `the ${what} is closed`);
  return handle;
}

/** Opens a file of the host; `flags` as in open(2). */
export function openFile(path: string, flags: number, mode = 0): NativeHandle {
  const file = openAt(path, flags, mode);
  if (typeof file === 'number') throw systemError(-file, 'open', path);
  return file;
}

/** Works with an open file, and closes it. */
export async function withFile<T>(file: NativeHandle, work: (fd: number) => T | Promise<T>): Promise<T> {
  try {
    return await work(file.fd);
  } finally {
    file.close();
  }
}
