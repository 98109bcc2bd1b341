import { constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { RuntsError } from '../../errors.ts';
import { isFailure, orThrow } from '../../node/failure.ts';
import { native } from '../../node/native.ts';
import { systemError } from './system-error.ts';

/** A file that is open for us alone. The kernel ends the lock with the process, however that ends. */
export interface LockedFile {
  readonly file: FileHandle;
  close(): Promise<void>;
}

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** What is waited for, for messages: `the image store`. */
  readonly what: string;
  /** After this the wait is an error; without it, it goes on while somebody has the lock. */
  readonly deadlineMs?: number;
}

const eagain = 11;
const pauseMsMax = 25;

/**
 * Opens a file and locks it (flock(2)); undefined while somebody else has it, or where it is not there and not to be made.
 *
 * The file may be renamed or removed by whoever has the lock: what is given is the file that has the name now.
 */
export async function tryLock(path: string, { create }: { readonly create: boolean }): Promise<LockedFile | undefined> {
  for (;;) {
    const file = await openLockable(path, create);
    if (file === undefined) return undefined;
    const locked = await lockFile(file, path);
    if (locked === undefined) return undefined;
    const here = await stat(path).catch(() => undefined);
    if (here !== undefined && here.ino === (await file.stat()).ino) return locked;
    await locked.close();
  }
}

/** The same, once nobody else has it. */
export async function waitLock(path: string, options: WaitOptions): Promise<LockedFile> {
  const until = performance.now() + (options.deadlineMs ?? Number.POSITIVE_INFINITY);
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    options.signal?.throwIfAborted();
    const locked = await tryLock(path, { create: true });
    if (locked !== undefined) return locked;
    if (performance.now() > until) {
      throw new RuntsError('ERR_TIMEOUT', `another process has held ${options.what} for too long (${path})`, {
        hint: `\`fuser ${path}\` tells which; it may be stopped.`,
      });
    }
    // Not in step with the others that wait.
    await setTimeout(pauseMs * (0.5 + Math.random()), undefined, { signal: options.signal });
  }
}

async function openLockable(path: string, create: boolean): Promise<FileHandle | undefined> {
  const flags = constants.O_RDWR | constants.O_NOFOLLOW | (create ? constants.O_CREAT : 0);
  return open(path, flags, 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' && !create) return undefined;
    throw systemError(error, 'open');
  });
}

async function lockFile(file: FileHandle, path: string): Promise<LockedFile | undefined> {
  try {
    // The lock belongs to the open file, which the duplicate shares: it ends when both are closed.
    const handle = orThrow(native.duplicate(file.fd), path);
    const failure = native.lock(handle);
    if (failure === undefined) {
      return {
        file,
        close: async () => {
          handle.close();
          await file.close();
        },
      };
    }
    handle.close();
    if (isFailure(failure) && failure.errno === eagain) {
      await file.close();
      return undefined;
    }
    return orThrow<never>(failure, path);
  } catch (error) {
    await file.close();
    throw error;
  }
}
