import { RuntsError } from '../../errors.ts';
import { canceled } from '../../host/cancel.ts';

/** Ends a transfer: because its caller wants it to, or because a part of it failed. */
export interface Stop {
  readonly signal: AbortSignal;
  abort(reason: unknown): void;
}

/** Does work that its caller's signal ends with ERR_CANCELED, and a failure of one part with all the others. */
export async function stoppable<T>(
  signal: AbortSignal | undefined,
  doing: string,
  work: (stop: Stop) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const either = signal === undefined ? own.signal : AbortSignal.any([signal, own.signal]);
  try {
    if (signal?.aborted) throw canceled(signal, doing);
    return await work({ signal: either, abort: (reason) => own.abort(reason) });
  } catch (error) {
    if (signal?.aborted && !(RuntsError.is(error) && error.code === 'ERR_CANCELED')) throw canceled(signal, doing);
    throw error;
  }
}

/**
 * Does work for each item, so many at once. The first failure stops the others, and is thrown once all have ended:
 * nothing goes on behind the back of who called.
 */
export async function several<T>(
  items: readonly T[],
  atOnce: number,
  stop: Stop,
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  const rest = items.values();
  let failure: { readonly error: unknown } | undefined;
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      if (failure !== undefined) return;
      try {
        await work(item);
      } catch (error) {
        failure ??= { error };
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(Math.max(atOnce, 1), items.length) }, worker));
  if (failure !== undefined) throw failure.error;
}

/** Waits for parts of a whole that go on at the same time; the first that fails stops the others, and is what is thrown. */
export async function together<T extends readonly unknown[]>(
  stop: Stop,
  parts: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  let failure: { readonly error: unknown } | undefined;
  const watched = parts.map((part) =>
    part.catch((error: unknown) => {
      failure ??= { error };
      stop.abort(error);
    }),
  );
  await Promise.all(watched);
  if (failure !== undefined) throw failure.error;
  return Promise.all(parts) as unknown as Promise<T>;
}
