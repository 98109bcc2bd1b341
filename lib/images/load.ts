import { chunkBytes } from '../layers/chunk-pool.ts';
import { magicBytes } from '../layers/decompress.ts';
import { Refused } from '../layers/refused.ts';
import { explained, openFiles, spooled } from './archive.ts';
import { namesOf } from './choose.ts';
import { readConfig } from './config.ts';
import { blobPath, verified } from './digest.ts';
import { isDockerArchive, readDockerManifest, readVerifiedConfig, type SavedImage } from './docker-archive.ts';
import { diffIdOf, layerType } from './layer-blob.ts';
import { indexDepthMax } from './limits.ts';
import { type ManifestLayer, storeImage } from './make-image.ts';
import { type Descriptor, readDocument } from './manifest.ts';
import { checkLayout, indexType, isOciLayout } from './oci-layout.ts';
import { checkBlob, readBlob, readFile } from './read-file.ts';
import { parseReference, showReference } from './reference.ts';
import type { ImageFiles } from './source.ts';
import type { BlobId, ImageStore } from './store/store.ts';

/** What `images.load` takes beside the archive. */
export interface LoadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** An image that was loaded. */
export interface Loaded {
  /** In full; none where the archive has no name for it. */
  readonly references: readonly string[];
  readonly target: Descriptor;
}

/** Stores every image of an archive or of an OCI layout, under the names that it has there. */
export async function loadImages(
  store: ImageStore,
  from: string | AsyncIterable<Uint8Array>,
  options: LoadOptions = {},
): Promise<readonly Loaded[]> {
  const path = typeof from === 'string' ? from : 'from the stream';
  const temporary = `${store.directory}/ingest`;
  try {
    await using _lease = await store.lease();
    const files = await (typeof from === 'string' ? openFiles(from, temporary) : spooled(from, temporary));
    try {
      return await loadFiles(store, files, options.signal);
    } finally {
      await files.close();
    }
  } catch (error) {
    throw explained(error, path);
  }
}

async function loadFiles(store: ImageStore, files: ImageFiles, signal: AbortSignal | undefined): Promise<Loaded[]> {
  const load = { store, files, signal };
  // What Docker writes today is both; the OCI layout is the one whose every file has a digest.
  const found = (await isOciLayout(files))
    ? await loadLayout(load)
    : (await isDockerArchive(files))
      ? await loadDockerArchive(load)
      : undefined;
  if (found === undefined) {
    throw new Refused('it has neither "index.json" and "oci-layout" nor "manifest.json"', {
      hint: 'An archive of a root file system is imported: `runts import`.',
    });
  }
  if (found.length === 0) throw new Refused('there is no image in it');
  // Names come last, when everything that they lead to is there.
  for (const { references, target } of found) {
    for (const reference of references) await store.tag(reference, target);
    if (references.length === 0) await store.keep(target);
  }
  return found;
}

interface Load {
  readonly store: ImageStore;
  readonly files: ImageFiles;
  readonly signal: AbortSignal | undefined;
}

/** A name as it is to be in the store; what is no reference is no name. */
function referencesOf(names: readonly string[]): readonly string[] {
  const whole = names.flatMap((name) => {
    try {
      return [showReference(parseReference(name))];
    } catch {
      return [];
    }
  });
  return [...new Set(whole)];
}

// ---- an OCI layout ---------------------------------------------------------------------------------------------------

async function loadLayout(load: Load): Promise<Loaded[]> {
  const { files } = load;
  await checkLayout(files);
  const top = readDocument((await readFile(files, 'index.json'))!, indexType, '"index.json"');
  if (top.kind !== 'index') throw new Refused('"index.json" is not an index');
  const images = new Map<string, { target: Descriptor; names: string[] }>();
  for (const descriptor of top.manifests.filter(isImage)) {
    const { digest } = descriptor;
    const image = images.get(digest) ?? { target: descriptor, names: [] };
    // Docker's whole name; only where there is none, the name of the layout, which may be a tag alone.
    image.names.push(...namesOf(descriptor).slice(0, 1));
    images.set(digest, image);
  }
  const loaded: Loaded[] = [];
  for (const { target, names } of images.values()) {
    await loadDocument(load, target, indexDepthMax);
    const { mediaType, digest, size, platform } = target;
    const references = referencesOf(names);
    loaded.push({ references, target: { mediaType, digest, size, platform, annotations: {} } });
  }
  return loaded;
}

/** Attestations, which go with an image and are none. */
const isImage = ({ platform }: Descriptor): boolean => platform?.os !== 'unknown';

/** Stores a manifest or index with all that it needs, children first. */
async function loadDocument(load: Load, descriptor: Descriptor, depth: number): Promise<void> {
  const { store, files } = load;
  const bytes = await readBlob(files, descriptor, 'the manifest');
  const document = readDocument(bytes, descriptor.mediaType, 'the manifest');
  if (document.kind === 'index') {
    if (depth === 0) throw new Refused(`its indexes are more than ${indexDepthMax} deep`);
    // Of an image for several platforms an archive may have some only.
    const sizes = await Promise.all(document.manifests.map(({ digest }) => files.size(blobPath(digest))));
    const here = document.manifests.filter((each, i) => sizes[i] !== undefined && isImage(each));
    if (here.length === 0) throw new Refused(`no image of the index ${descriptor.digest} is in it`);
    for (const child of here) await loadDocument(load, child, depth - 1);
  } else {
    const { diffIds } = readConfig(await readBlob(files, document.config, 'the configuration'));
    if (diffIds.length !== document.layers.length) {
      throw new Refused(`it has ${document.layers.length} layers, but its configuration speaks of ${diffIds.length}`);
    }
    for (const layer of [...document.layers, document.config]) {
      await checkBlob(files, layer, 'a blob');
      await loadBlob(load, blobPath(layer.digest), layer);
    }
  }
  await store.put(bytes, descriptor.mediaType);
}

async function loadBlob({ store, files, signal }: Load, name: string, blob: BlobId): Promise<void> {
  const ingest = await store.ingest(blob, { signal });
  try {
    if (ingest.exists) return;
    let skip = ingest.offset;
    for await (const chunk of verified(files.open(name), blob.digest, blob.size) as AsyncIterable<Buffer>) {
      signal?.throwIfAborted();
      if (skip < chunk.length) await ingest.write(chunk.subarray(skip));
      skip = Math.max(0, skip - chunk.length);
    }
    await ingest.commit();
  } finally {
    await ingest.close();
  }
}

// ---- the old form of docker save -------------------------------------------------------------------------------------

async function loadDockerArchive(load: Load): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  for (const image of readDockerManifest((await readFile(load.files, 'manifest.json'))!)) {
    loaded.push({ references: referencesOf(image.tags), target: await loadSaved(load, image) });
  }
  return loaded;
}

async function loadSaved(load: Load, { config, layers }: SavedImage): Promise<Descriptor> {
  const { bytes } = await readVerifiedConfig(load.files, config);
  const { diffIds } = readConfig(bytes);
  if (diffIds.length !== layers.length) {
    throw new Refused(`it has ${layers.length} layers, but its configuration speaks of ${diffIds.length}`);
  }
  const stored: ManifestLayer[] = [];
  for (const [i, name] of layers.entries()) stored.push(await loadLayer(load, name, diffIds[i]!));
  return (await storeImage(load.store, bytes, stored)).target;
}

/** Stores a layer as it is, once it is known to be the one that the configuration names. */
async function loadLayer(load: Load, name: string, diffId: string): Promise<ManifestLayer> {
  const { store, files, signal } = load;
  const size = await files.size(name);
  if (size === undefined) throw new Refused(`the layer "${name}" is not in it`);
  const mediaType = layerType(await startOf(files, name));
  if (!mediaType.endsWith('tar')) {
    const ingest = await store.ingest({ algorithm: 'sha256' }, { signal });
    try {
      for await (const chunk of files.open(name) as AsyncIterable<Buffer>) await ingest.write(chunk);
      const blob = await ingest.commit();
      const found = await diffIdOf(store.open(blob), signal);
      if (found === diffId) return { ...blob, mediaType };
      throw new Refused(`the layer "${name}" has the digest ${found}, but its configuration says ${diffId}`);
    } finally {
      await ingest.close();
    }
  }
  await loadBlob(load, name, { digest: diffId, size });
  return { digest: diffId, size, mediaType };
}

async function startOf(files: ImageFiles, name: string): Promise<Buffer> {
  let start: Buffer = Buffer.alloc(0);
  const stream = files.open(name);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    start = Buffer.concat([start, chunk.subarray(0, chunkBytes)]);
    if (start.length >= magicBytes) break;
  }
  stream.destroy();
  return start;
}
