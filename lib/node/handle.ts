import { promises as fs } from 'node:fs';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { type NativeHandle, native } from './native.ts';

/** The native object behind a handle that this adapter gave out, and that is still open. */
export function openHandle(handle: Handle, what = 'handle'): NativeHandle {
  if (!(handle instanceof native.Handle)) {
    throw new RuntsError('ERR_SPEC', `the ${what} is not a handle of this runts`, {
      hint: 'Handles cannot be made by hand, nor passed between threads or between two copies of the package.',
    });
  }
  if (handle.fd < 0) throw new RuntsError('ERR_STATE', `the ${what} is closed`);
  return handle;
}

/** Opens a file of the host; `flags` as in open(2). */
export async function openFile(path: string, flags: number): Promise<NativeHandle> {
  // Not fs.open with a callback: Node keeps a list of such descriptors in a worker, and would close ours a second time.
  const file = await fs.open(path, flags);
  try {
    return orThrow(native.duplicate(file.fd), path);
  } finally {
    // The duplicate is what counts, and must not be lost.
    await file.close().catch(() => undefined);
  }
}
