import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { explained, thisPlatform } from './archive.ts';
import { applyChanges } from './changes.ts';
import type { JsonObject } from './json.ts';
import { storeLayer } from './layer-blob.ts';
import { configBytes, storeImage } from './make-image.ts';
import type { Descriptor } from './manifest.ts';
import type { Platform } from './source.ts';
import type { ImageStore } from './store/store.ts';

/** What `images.import` makes of an archive. */
export interface ImportOptions {
  /** The name to give it; without one it has none. */
  readonly reference?: string | undefined;
  /** Instructions of a Dockerfile: `CMD ["sh"]`, `ENV A=1`. */
  readonly changes?: readonly string[] | undefined;
  /** For the history. Default `Imported from -`. */
  readonly message?: string | undefined;
  /** Default this machine's. */
  readonly platform?: Platform | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was made and stored. */
export interface Made {
  readonly id: string;
  readonly target: Descriptor;
}

/** Makes an image of one layer out of the archive of a root file system: a path, or a stream. */
export async function importImage(
  store: ImageStore,
  from: string | AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<Made> {
  const { reference, changes = [], message = 'Imported from -', platform = thisPlatform(), signal } = options;
  const config = applyChanges({}, changes);
  try {
    await using _lease = await store.lease();
    const stream = typeof from === 'string' ? createReadStream(from) : Readable.from(from, { objectMode: false });
    const layer = await storeLayer(store, stream, signal);
    const created = new Date().toISOString();
    const history = [{ created, comment: message }];
    const bytes = configBytes({ platform, created, config: plain(config), diffIds: [layer.diffId], history });
    const made = await storeImage(store, bytes, [layer]);
    await (reference === undefined ? store.keep(made.target) : store.tag(reference, made.target));
    return made;
  } catch (error) {
    throw explained(error, typeof from === 'string' ? from : 'from the stream');
  }
}

/** As JSON has it: without what is undefined. */
const plain = (config: JsonObject): JsonObject => JSON.parse(JSON.stringify(config)) as JsonObject;
