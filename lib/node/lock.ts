import { constants, promises as fs } from 'node:fs';
import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { native } from './native.ts';

/** An exclusive flock(2) on a file that is made when missing, until the handle is closed. EAGAIN when it is taken. */
export async function lock(path: string): Promise<Handle> {
  const file = await fs.open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    // A lock belongs to the open file, which the duplicate shares: it outlives the close below.
    const handle = orThrow(native.duplicate(file.fd), path);
    try {
      orThrow(native.lock(handle), path);
      return handle;
    } catch (error) {
      handle.close();
      throw error;
    }
  } finally {
    // What close says of a file that was only opened changes nothing: the descriptor is gone.
    await file.close().catch(() => undefined);
  }
}
