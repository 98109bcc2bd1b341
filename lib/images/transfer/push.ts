import { Readable } from 'node:stream';
import { RuntsError } from '../../errors.ts';
import { thisPlatform } from '../archive.ts';
import type { Descriptor } from '../manifest.ts';
import { parseReference, type Reference, showReference } from '../reference.ts';
import { RegistryClient } from '../registry/client.ts';
import type { RegistryConfig } from '../registry/config.ts';
import type { Credentials } from '../registry/credentials.ts';
import type { Repository } from '../registry/repository.ts';
import type { BlobId } from '../store/ingest.ts';
import type { ImageStore, StoredImage } from '../store/store.ts';
import { allDocuments, blobsOf, type Document, type Documents, documentsOf, parseDocument } from './documents.ts';
import { BlobProgress, type OnProgress } from './progress.ts';
import { concurrencyDefault } from './pull.ts';
import { type Stop, several, stoppable } from './several.ts';

export interface PushOptions {
  readonly config: RegistryConfig;
  readonly auth?: Credentials | undefined;
  /** Blobs that are sent at once; default 3. */
  readonly concurrency?: number | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `images.push` and `images.copy` have sent. */
export interface Pushed {
  /** In full. */
  readonly reference: string;
  /** What the name leads to at the registry now. */
  readonly descriptor: Descriptor;
}

/** Sends an image of the store to the registry of a name that it has, by default for every platform that is here. */
export async function push(store: ImageStore, reference: Reference, options: PushOptions): Promise<Pushed> {
  const name = showReference(reference);
  const { tag } = reference;
  if (tag === undefined || reference.digest !== undefined) {
    throw new RuntsError('ERR_SPEC', `cannot push ${name}: only a tag can be pushed`, {
      hint: 'Give the image a name with a tag: runts tag.',
    });
  }
  const { config, auth } = options;
  return stoppable(options.signal, `pushing ${name}`, async (stop) => {
    const lease = await store.lease();
    const client = new RegistryClient({ config, auth, signal: stop.signal });
    try {
      const { image, target } = await findNamed(store, name);
      const documents = await storedDocuments(store, target, name);
      const to = client.repository(reference, 'push');
      const open = (blob: BlobId) => openStored(store, blob);
      const from = neighbours(image, reference)[0];
      await sendBlobs(to, blobsOf(documents.all, name), open, from, options, stop);
      return { reference: name, descriptor: await sendDocuments(to, documents, tag) };
    } finally {
      client.close();
      await lease.release();
    }
  });
}

async function findNamed(store: ImageStore, name: string) {
  const image = await store.resolve(name);
  const target = image?.names.find((each) => each.reference === name)?.target;
  if (image !== undefined && target !== undefined) return { image, target };
  throw new RuntsError('ERR_NOT_FOUND', `cannot push ${name}: there is no image of this name here`, {
    hint: '`runts images` lists those that are here; `runts tag` gives one another name.',
  });
}

/** All that is here of what a name leads to: of an index whose other images are elsewhere, the image that is here. */
async function storedDocuments(store: ImageStore, target: Descriptor, name: string): Promise<Documents> {
  const read = (descriptor: Descriptor) => store.read(descriptor);
  const top = parseDocument(target, await read(target), name);
  const isHere = async (documents: readonly Document[]) => {
    for (const blob of blobsOf(documents, name)) if (!(await store.has(blob))) return false;
    return true;
  };
  try {
    const documents = await allDocuments(top, read, name);
    if (await isHere(documents.all)) return documents;
  } catch (error) {
    if (!RuntsError.is(error) || error.code !== 'ERR_NOT_FOUND') throw error;
  }
  const here: Descriptor[] = [];
  const { content } = top;
  for (const each of content.kind === 'index' ? content.manifests : []) if (await store.has(each)) here.push(each);
  const [first] = here;
  const ours = here.length === 1 ? first?.platform : thisPlatform();
  const { all } = await documentsOf(top, ours ?? thisPlatform(), read, name);
  // An index that leads to what is not there would be refused: the image goes alone.
  return { top: all[0]!, all: all.slice(0, 1) };
}

/** Stored blobs are read from their beginning, so that all of each is verified. */
function openStored(store: ImageStore, blob: BlobId): (offset: number) => Readable {
  return (offset) => {
    const whole = store.open(blob);
    return offset === 0 ? whole : Readable.from(after(whole, offset), { objectMode: false });
  };
}

async function* after(stream: Readable, offset: number): AsyncGenerator<Buffer> {
  let left = offset;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (left < chunk.length) yield left === 0 ? chunk : chunk.subarray(left);
    left = Math.max(left - chunk.length, 0);
  }
}

/** Other repositories of the same registry that may have the image, by its other names. */
function neighbours(image: StoredImage, { domain, path }: Reference): readonly string[] {
  const others = image.names
    .map((each) => parseReference(each.reference))
    .filter((each) => each.domain === domain && each.path !== path);
  return [...new Set(others.map((each) => each.path))];
}

/** Sends the blobs that a repository has not; another one of the registry, `from`, may have them. */
export async function sendBlobs(
  to: Repository,
  blobs: readonly Descriptor[],
  open: (blob: BlobId) => (offset: number) => Readable | Promise<Readable>,
  from: string | undefined,
  { concurrency = concurrencyDefault, onProgress }: Pick<PushOptions, 'concurrency' | 'onProgress'>,
  stop: Stop,
): Promise<void> {
  await several(blobs, concurrency, stop, async (blob) => {
    const progress = new BlobProgress(blob, onProgress);
    await progress.phase('waiting', 0);
    if (await to.hasBlob(blob, progress.retrying)) {
      await progress.phase('exists', blob.size);
      return;
    }
    const how = await to.upload(blob, open(blob), {
      from,
      onSent: (done) => progress.bytes('uploading', done),
      onRetry: progress.retrying,
    });
    await progress.phase(how === 'mounted' ? 'mounted' : 'done', blob.size);
  });
}

/** Sends manifests, and indexes after them, by digest, and what the tag is to mean last. */
export async function sendDocuments(to: Repository, { top, all }: Documents, tag: string): Promise<Descriptor> {
  for (const { descriptor, bytes } of all) {
    const isTop = descriptor.digest === top.descriptor.digest;
    await to.putManifest(isTop ? tag : descriptor.digest, descriptor.mediaType, bytes);
  }
  return top.descriptor;
}
