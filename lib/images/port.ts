import { isAbsolute, resolve } from 'node:path';
import type { Cancel } from '../host/cancel.ts';
import type { ImagePort } from '../host/image.ts';
import type { GraphDriver } from '../layers/drivers.ts';
import { makeRoot, RootMemory } from '../layers/root.ts';
import { openArchive } from './archive.ts';
import type { Images } from './images.ts';
import type { Opened, OpenOptions } from './open-image.ts';
import { isPath } from './reference.ts';

export interface ImagePortOptions extends Pick<OpenOptions, 'onProgress' | 'onMissing'> {
  readonly driver?: GraphDriver | undefined;
}

/** The images of a data directory, and of archives, for the core. */
export function imagePort(images: Images, { driver, ...told }: ImagePortOptions = {}): ImagePort {
  const memory = new RootMemory();
  return {
    async open(name, { environment, pull, cancel }) {
      const { identity, config, image, close } = isPath(name)
        ? await openPath(isAbsolute(name) ? name : resolve(environment.cwd, name))
        : await withSignal(cancel, (signal) => open(images, name, { ...told, pull, signal }));
      let closing: Promise<void> | undefined;
      return {
        identity,
        config,
        makeRoot: ({ cancel: within, ...place }) =>
          withSignal(within, (signal) => makeRoot({ ...place, image, driver }, { signal }, memory)),
        close() {
          closing ??= close();
          return closing;
        },
      };
    },
  };
}

let loaded: typeof import('./open-image.ts') | undefined;

/** Few programs use images by name. */
async function open(images: Images, name: string, options: OpenOptions): Promise<Opened> {
  loaded ??= await import('./open-image.ts');
  return loaded.openNamed(images, name, options);
}

async function openPath(path: string): Promise<Opened> {
  const image = await openArchive(path);
  const identity = { reference: undefined, id: undefined, digest: image.digest };
  return { identity, config: image.config, image, close: () => image.close() };
}

/** Streams want the platform's own AbortSignal, which the core does not know. */
async function withSignal<T>(
  cancel: Cancel | undefined,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  if (cancel === undefined) return work(undefined);
  const controller = new AbortController();
  const abort = (): void => controller.abort(cancel.reason);
  cancel.addEventListener('abort', abort);
  if (cancel.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    cancel.removeEventListener('abort', abort);
  }
}
