import { constants } from 'node:fs';
import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { openFile } from './handle.ts';
import { native } from './native.ts';

/** An exclusive flock(2) on a file that is made when missing, until the handle is closed. EAGAIN when it is taken. */
export async function lock(path: string): Promise<Handle> {
  const handle = await openFile(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    orThrow(native.lock(handle), path);
    return handle;
  } catch (error) {
    handle.close();
    throw error;
  }
}
