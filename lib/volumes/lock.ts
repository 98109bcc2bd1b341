import { setTimeout } from 'node:timers/promises';
import { RuntsError } from '../errors.ts';
import type { Handle } from '../host/host.ts';
import { lock } from '../node/lock.ts';

const pauseMsMax = 25;

/** A lock of another process, or of another task of ours, that is held now: undefined. */
export async function tryLock(path: string): Promise<Handle | undefined> {
  try {
    return await lock(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return undefined;
    throw error;
  }
}

export interface Wait {
  /** What is waited for, for the error: `the store of volumes`. */
  readonly what: string;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Tries until it gives something; not in step with the others that wait. */
export async function untilGiven<T>(attempt: () => Promise<T | undefined>, wait: Wait): Promise<T> {
  const until = performance.now() + wait.deadlineMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    if (wait.signal?.aborted) {
      throw new RuntsError('ERR_CANCELED', `canceled while waiting for ${wait.what}`, { cause: wait.signal.reason });
    }
    const given = await attempt();
    if (given !== undefined) return given;
    if (performance.now() > until) {
      throw new RuntsError('ERR_TIMEOUT', `somebody else has held ${wait.what} for ${wait.deadlineMs} ms`, {
        hint: 'Another process works on it, or is stopped in the middle: `fuser` on its lock file tells which.',
      });
    }
    await setTimeout(pauseMs * (0.5 + Math.random()));
  }
}
