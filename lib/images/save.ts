import { mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { RuntsError } from '../errors.ts';
import { throwIfCanceled } from '../host/cancel.ts';
import { blobPath } from './digest.ts';
import { indexDepthMax } from './limits.ts';
import { type Descriptor, readDocument } from './manifest.ts';
import { indexType } from './oci-layout.ts';
import { familiarReference, parseReference } from './reference.ts';
import { mustHave } from './store/must-have.ts';
import type { BlobId, ImageStore, StoredImage } from './store/store.ts';
import { systemError } from './store/system-error.ts';
import { type PackedFile, packTar } from './tar-pack.ts';

/** `docker-archive`: what `docker save` writes, which is an OCI archive too; `oci-dir`: a layout in a directory. */
export type SaveFormat = 'docker-archive' | 'oci-archive' | 'oci-dir';

/** One image to be saved, and the names that it is to have. */
export interface SavedAs {
  readonly image: StoredImage;
  /** In full. */
  readonly references: readonly string[];
  /** What the names lead to. */
  readonly target: Descriptor;
}

/** The images as a tar archive. What it is made of stays in the store until the stream ends. */
export function saveArchive(
  store: ImageStore,
  images: readonly SavedAs[],
  format: Exclude<SaveFormat, 'oci-dir'>,
  signal?: AbortSignal,
): Readable {
  async function* bytes(): AsyncGenerator<Uint8Array> {
    await using _lease = await store.lease();
    for await (const piece of packTar(await filesOf(store, images, format))) {
      // Told to who reads: a stream that nobody reads yet would have nobody to hear of an error.
      throwIfCanceled(signal, 'saving images');
      yield piece;
    }
  }
  return Readable.from(bytes(), { objectMode: false });
}

/** The images as a file, which has its name only when it is whole, or as an OCI layout in an empty directory. */
export async function saveTo(
  store: ImageStore,
  images: readonly SavedAs[],
  path: string,
  format: SaveFormat,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await (format === 'oci-dir'
      ? saveDirectory(store, images, path)
      : saveFile(saveArchive(store, images, format), path, signal));
  } catch (error) {
    throw systemError(error, 'save to');
  }
}

/** Writes a stream to a file that has its name only when it is whole; another file of that name stays until then. */
export async function saveFile(stream: Readable, path: string, signal?: AbortSignal): Promise<void> {
  const temporary = join(dirname(path), `.${process.pid}-${Math.trunc(performance.now() * 1000)}.runts`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    await pipeline(stream, file.createWriteStream({ flush: true }), { signal });
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
}

async function saveDirectory(store: ImageStore, images: readonly SavedAs[], directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  if ((await readdir(directory)).length > 0) {
    throw new RuntsError('ERR_EXISTS', `cannot save to ${directory}: it is not empty`);
  }
  await using _lease = await store.lease();
  const files = await filesOf(store, images, 'oci-archive');
  // What makes it a layout comes last.
  for (const { name, content } of [...files].reverse()) {
    const path = join(directory, name);
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'wx', 0o644);
    await pipeline(Readable.from(content, { objectMode: false }), file.createWriteStream());
  }
}

// ---- what is in it ---------------------------------------------------------------------------------------------------

interface Saved extends SavedAs {
  /** The target, or the manifest alone where not all is here that the target leads to. */
  readonly entry: Descriptor;
  readonly blobs: readonly BlobId[];
}

async function filesOf(store: ImageStore, images: readonly SavedAs[], format: SaveFormat): Promise<PackedFile[]> {
  const saved: Saved[] = [];
  for (const each of images) saved.push({ ...each, ...(await treeOf(store, each)) });
  const blobs = new Map(saved.flatMap((each) => each.blobs).map((blob) => [blob.digest, blob]));
  for (const blob of blobs.values()) await mustHave(store, blob);
  const json = (name: string, value: unknown): PackedFile => {
    const content = Buffer.from(JSON.stringify(value));
    return { name, size: content.length, content: [content] };
  };
  return [
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', { schemaVersion: 2, mediaType: indexType, manifests: saved.flatMap(indexEntries) }),
    ...(format === 'docker-archive' ? [json('manifest.json', saved.map(dockerEntry))] : []),
    ...[...blobs.values()].map((blob) => ({
      name: blobPath(blob.digest),
      size: blob.size,
      content: { [Symbol.asyncIterator]: () => store.open(blob)[Symbol.asyncIterator]() },
    })),
  ];
}

async function treeOf(store: ImageStore, { image, target }: SavedAs): Promise<{ entry: Descriptor; blobs: BlobId[] }> {
  const whole = await blobsBelow(store, target, indexDepthMax);
  if (whole !== undefined) return { entry: target, blobs: whole };
  const { descriptor, manifest } = image;
  return { entry: descriptor, blobs: [descriptor, manifest.config, ...manifest.layers] };
}

/** Everything that a document leads to; undefined where an image of an index is not here. */
async function blobsBelow(store: ImageStore, from: Descriptor, depth: number): Promise<BlobId[] | undefined> {
  if (!(await store.has(from))) return undefined;
  const document = readDocument(await store.read(from), from.mediaType, `the manifest ${from.digest}`);
  if (document.kind === 'manifest') return [from, document.config, ...document.layers];
  const children: BlobId[] = [from];
  for (const child of document.manifests) {
    const below = depth === 0 ? undefined : await blobsBelow(store, child, depth - 1);
    if (below === undefined) return undefined;
    children.push(...below);
  }
  return children;
}

/** Docker and containerd look for the whole name, others for the short one. */
function indexEntries({ entry, references }: Saved): object[] {
  const { mediaType, digest, size, platform } = entry;
  const plain = { mediaType, digest, size, ...(platform !== undefined && { platform }) };
  if (references.length === 0) return [plain];
  return references.map((reference) => ({
    ...plain,
    annotations: {
      'io.containerd.image.name': reference,
      'org.opencontainers.image.ref.name': reference,
    },
  }));
}

function dockerEntry({ image, references }: Saved): object {
  const { manifest } = image;
  const tags = references.map((each) => parseReference(each)).filter(({ digest }) => digest === undefined);
  return {
    Config: blobPath(manifest.config.digest),
    RepoTags: tags.map(familiarReference),
    Layers: manifest.layers.map(({ digest }) => blobPath(digest)),
  };
}
