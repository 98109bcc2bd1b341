import { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import { untilAborted } from './aborted.ts';

/**
 * Does something with the bytes of a stream that it begins to read later. Node throws away what a process wrote that has
 * ended, where nobody reads its standard output by then: so whoever is given a stream has to hold it at once, in the very
 * call. The signal ends a reader that waits for more.
 */
export async function whileHeld<T>(
  source: AsyncIterable<Uint8Array>,
  work: (bytes: AsyncIterable<Uint8Array>) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const bytes = signal === undefined ? source : { [Symbol.asyncIterator]: () => until(source, signal) };
  if (!(source instanceof Readable)) return work(bytes);
  mustBeUnread(source);
  // With a listener for `readable` it does not flow by itself, and an error waits for who reads.
  const hold = (): void => {};
  source.on('readable', hold).on('error', hold);
  try {
    return await work(bytes);
  } finally {
    source.off('readable', hold).off('error', hold);
  }
}

async function* until(
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await untilAborted(iterator.next(), signal);
      if (done) return;
      yield value;
    }
  } finally {
    // One that waits for its source cannot return: nobody waits for that.
    if (source instanceof Readable) source.destroy();
    else void Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

/** An archive of which a part is gone is taken for a shorter one, or for none. */
function mustBeUnread(stream: Readable): void {
  const { readableEnded, destroyed, errored, readableFlowing, readableDidRead } = stream;
  const flowsAway = readableFlowing === true && readableDidRead && stream.listenerCount('data') === 0;
  if (!readableEnded && !flowsAway && (!destroyed || errored !== null)) return;
  throw new RuntsError('ERR_SPEC', 'cannot read the stream: what was in it has been read, or thrown away', {
    hint: 'The standard output of a child process is lost once that has ended: hand it over before anything is awaited.',
  });
}
