import type { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { explained } from './archive.ts';
import { applyChanges } from './changes.ts';
import type { Made } from './import.ts';
import type { JsonObject } from './json.ts';
import { storeLayer } from './layer-blob.ts';
import { configBytes, ociLayer, storeImage } from './make-image.ts';
import { mustHave } from './store/must-have.ts';
import type { ImageStore, StoredImage } from './store/store.ts';

/** What `images.commit` makes of a container. */
export interface CommitOptions {
  /** The name to give it; without one it has none. */
  readonly reference?: string | undefined;
  /** Instructions of a Dockerfile: `CMD ["sh"]`, `ENV A=1`. */
  readonly changes?: readonly string[] | undefined;
  /** For the history. */
  readonly message?: string | undefined;
  /** For the configuration. */
  readonly author?: string | undefined;
  /** What the container ran with: over the image's own configuration. */
  readonly config?: JsonObject | undefined;
  /** How the layer came to be, for the history: the container's command. */
  readonly createdBy?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Makes an image of another and the changes of a container of it: `diff` is a layer, as a tar archive. */
export async function commitImage(
  store: ImageStore,
  base: StoredImage,
  diff: Readable,
  options: CommitOptions = {},
): Promise<Made> {
  const { reference, changes = [], message, author, createdBy, signal } = options;
  const { document, manifest } = base;
  const before = document.raw['config'];
  const config = applyChanges({ ...(before as JsonObject | undefined), ...options.config }, changes);
  try {
    await using _lease = await store.lease();
    for (const blob of manifest.layers) await mustHave(store, blob);
    const gzip = createGzip();
    diff.on('error', (error) => gzip.destroy(error));
    const layer = await storeLayer(store, diff.pipe(gzip), signal);
    const created = new Date().toISOString();
    const entry = { created, author, created_by: createdBy, comment: message };
    const bytes = configBytes(
      {
        platform: document.platform,
        created,
        author,
        config,
        diffIds: [...document.diffIds, layer.diffId],
        history: [...document.history, entry],
      },
      document,
    );
    const made = await storeImage(store, bytes, [...manifest.layers.map(ociLayer), layer]);
    await (reference === undefined ? store.keep(made.target) : store.tag(reference, made.target));
    return made;
  } catch (error) {
    throw explained(error, base.names[0]?.reference ?? base.id);
  }
}
