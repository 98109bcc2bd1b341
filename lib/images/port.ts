import type { Cancel } from '../host/cancel.ts';
import type { ImagePort } from '../host/image.ts';
import { makeRoot } from '../layers/root.ts';
import { openArchive } from './archive.ts';

/** Image archives for the core. */
export const imageArchives: ImagePort = {
  async open(path) {
    const source = await openArchive(path);
    return {
      config: source.config,
      makeRoot: ({ cancel, ...place }) =>
        withSignal(cancel, (signal) => makeRoot({ ...place, image: source }, { signal })),
      close: () => source.close(),
    };
  },
};

/** Streams want the platform's own AbortSignal, which the core does not know. */
async function withSignal<T>(cancel: Cancel | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(cancel?.reason);
  cancel?.addEventListener('abort', abort);
  if (cancel?.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    cancel?.removeEventListener('abort', abort);
  }
}
