import { RuntsError } from '../errors.ts';
import type { Clock } from './host.ts';

/** What of an AbortSignal the core uses; plain ECMAScript has none. */
export interface Cancel {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface Bound<T> {
  readonly clock: Clock;
  readonly deadlineMs: number;
  readonly cancel?: Cancel | undefined;
  /** For the error: `opening /run/x`. */
  readonly doing: string;
  /** After a cancellation, how long the work may take to settle, so that what it made can be released in order. */
  readonly graceMs?: number;
  /** Releases what the work gave after nobody waits for it any more. */
  readonly late?: ((value: T) => unknown) | undefined;
}

/** Does work that whoever waits for it may interrupt; where nobody can, it gets no signal. */
export type Interruptible = (work: (cancel?: Cancel) => Promise<void>) => Promise<void>;

/** The ERR_CANCELED of a signal; its reason is the cause. */
export function canceled(cancel: Cancel, doing: string): RuntsError {
  return new RuntsError('ERR_CANCELED', `canceled while ${doing}`, { cause: cancel.reason });
}

/** Throws ERR_CANCELED when the signal has been given. */
export function throwIfCanceled(cancel: Cancel | undefined, doing: string): void {
  if (cancel?.aborted) throw canceled(cancel, doing);
}

/**
 * Waits for work, but no longer than its deadline (ERR_TIMEOUT) and not past a cancellation (ERR_CANCELED). Work cannot
 * be stopped: what it gives afterwards goes to `late`, and nothing of it is ever an unhandled rejection.
 */
export function within<T>(work: Promise<T>, bound: Bound<T>): Promise<T> {
  const { clock, deadlineMs, cancel, doing, graceMs = 0, late } = bound;
  return new Promise((resolve, reject) => {
    let over = false;
    const timer = clock.after(deadlineMs);
    let grace: ReturnType<Clock['after']> | undefined;
    const finish = (outcome: () => void): void => {
      if (over) return;
      over = true;
      timer.cancel();
      grace?.cancel();
      cancel?.removeEventListener('abort', onCancel);
      outcome();
    };
    const stop = (why: Cancel) => finish(() => reject(canceled(why, doing)));
    const onCancel = (): void => {
      if (over || cancel === undefined || grace !== undefined) return;
      if (graceMs === 0) {
        stop(cancel);
        return;
      }
      grace = clock.after(graceMs);
      void grace.done.then(() => stop(cancel), ignore);
    };

    void timer.done.then(
      () => finish(() => reject(new RuntsError('ERR_TIMEOUT', `no end after ${deadlineMs} ms of ${doing}`))),
      ignore,
    );
    work.then(
      (value) => {
        if (!over && !cancel?.aborted) {
          finish(() => resolve(value));
          return;
        }
        // Whoever asked is gone. A failure of the release has no one left to hear it.
        const released = settled(late, value);
        if (cancel !== undefined && !over) void released.then(() => stop(cancel));
      },
      (error) => (cancel?.aborted ? stop(cancel) : finish(() => reject(error))),
    );
    cancel?.addEventListener('abort', onCancel);
    if (cancel?.aborted) onCancel();
  });
}

async function settled<T>(late: ((value: T) => unknown) | undefined, value: T): Promise<void> {
  try {
    await late?.(value);
  } catch {}
}

const ignore = (): void => {};
