import { RuntsError, specError } from '../errors.ts';
import { show } from '../spec/shape.ts';

/** What every call that waits for something takes. */
export interface WaitOptions {
  /**
   * Gives up waiting, with ERR_CANCELED: nothing is begun after it, and what has begun is brought to its end without the
   * caller, so that nothing is left half done.
   */
  readonly signal?: AbortSignal | undefined;
}

/** The same promise, or ERR_CANCELED at the signal. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(canceled(signal));
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Does something that is not begun where the signal has come, and not waited for once it comes. */
export async function unlessAborted<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const doing = beginUnless(signal, work);
  return signal === undefined ? doing : untilAborted(doing, signal);
}

/** Does something that undoes itself at the signal: it is waited for, and then told as ERR_CANCELED. */
export async function undoneAtAbort<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  const doing = beginUnless(signal, work);
  try {
    return await doing;
  } catch (error) {
    throw signal?.aborted && !RuntsError.is(error) ? canceled(signal) : error;
  }
}

function beginUnless<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal !== undefined) mustBeSignal(signal);
  if (signal?.aborted) throw canceled(signal);
  return work();
}

const canceled = (signal: AbortSignal) =>
  new RuntsError('ERR_CANCELED', 'canceled while waiting', { cause: signal.reason });

function mustBeSignal(signal: unknown): void {
  if (signal instanceof AbortSignal) return;
  throw specError('cannot wait for a signal', [
    { path: '/signal', message: `must be an AbortSignal, not ${show(signal)}` },
  ]);
}
