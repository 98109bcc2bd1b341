import { randomBytes } from 'node:crypto';
import { readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { tryLock } from './lock.ts';
import type { Place } from './place.ts';

/**
 * Keeps blobs from being collected: those that are stored, or asked for by `has`, while it is held, by whichever process.
 * It goes with its process.
 */
export interface Lease extends AsyncDisposable {
  readonly since: number;
  release(): Promise<void>;
}

const name = /^([0-9]{1,16})-[0-9a-f]{16}$/;

/** Makes a lease; to be called with the store's lock held, so that nobody takes it for one whose process has ended. */
export async function makeLease(place: Place, since: number, released: () => void): Promise<Lease> {
  const path = join(place.leases, `${since}-${randomBytes(8).toString('hex')}`);
  const locked = await tryLock(path, { create: true });
  if (locked === undefined) throw new Error(`${path} is locked by another`);
  let open = true;
  const release = async (): Promise<void> => {
    if (!open) return;
    open = false;
    released();
    await unlink(path).catch(() => undefined);
    await locked.close();
  };
  return { since, release, [Symbol.asyncDispose]: release };
}

/**
 * Since when the oldest lease is held; undefined where there is none. Those of processes that have ended are removed.
 * To be called with the store's lock held.
 */
export async function oldestLease(place: Place): Promise<number | undefined> {
  let oldest: number | undefined;
  for (const entry of await readdir(place.leases)) {
    const since = name.exec(entry)?.[1];
    const path = join(place.leases, entry);
    const locked = since === undefined ? undefined : await tryLock(path, { create: false });
    if (locked === undefined) {
      if (since !== undefined) oldest = Math.min(oldest ?? Number.POSITIVE_INFINITY, Number(since));
      continue;
    }
    await unlink(path).catch(() => undefined);
    await locked.close();
  }
  return oldest;
}
