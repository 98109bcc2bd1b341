import { closeSync, open } from 'node:fs';
import { promisify } from 'node:util';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { orThrow, systemError } from './failure.ts';
import { GoneProcess } from './gone-process.ts';
import { LatePipe } from './late-pipe.ts';
import { type NativeHandle, native } from './native.ts';
import { NullDevice } from './null-device.ts';

/** The native object behind a handle that this adapter gave out, and that is still open. */
export function openHandle(handle: Handle, what = 'handle'): NativeHandle {
  if (handle instanceof NullDevice || handle instanceof LatePipe) return handle.open();
  if (handle instanceof GoneProcess) throw systemError(errnoNumber('ESRCH'), 'pidfd_open');
  if (!(handle instanceof native.Handle)) {
    throw new RuntsError('ERR_SPEC', `the ${what} is not a handle of this runts`, {
      hint: 'Handles cannot be made by hand, nor passed between threads or between two copies of the package.',
    });
  }
  if (handle.fd < 0) throw new RuntsError('ERR_STATE', `the ${what} is closed`);
  return handle;
}

const openDescriptor = promisify(open);

/** Opens a file of the host; `flags` as in open(2), and the mode of what they make. */
export async function openFile(path: string, flags: number, mode?: number): Promise<NativeHandle> {
  const fd = await openDescriptor(path, flags, mode);
  try {
    // Node keeps a list of such descriptors in a worker, and closes them with it: ours is one that it does not know.
    return orThrow(native.duplicate(fd), path);
  } finally {
    // Another one has the file open, so nobody waits for this, and what close says of it changes nothing.
    try {
      closeSync(fd);
    } catch {}
  }
}
