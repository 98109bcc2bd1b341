import { thisPlatform } from '../archive.ts';
import { samePlatform } from '../choose.ts';
import type { Descriptor } from '../manifest.ts';
import { type Reference, showReference, withDigest } from '../reference.ts';
import { RegistryClient } from '../registry/client.ts';
import type { RegistryConfig } from '../registry/config.ts';
import type { Credentials } from '../registry/credentials.ts';
import type { Repository } from '../registry/repository.ts';
import type { Platform } from '../source.ts';
import type { ImageStore } from '../store/store.ts';
import { allDocuments, blobsOf, type Document, documentsOf, parseConfig, parseDocument } from './documents.ts';
import { download } from './download.ts';
import type { OnProgress } from './progress.ts';
import { type Stop, several, stoppable, together } from './several.ts';
import { Arrivals, type UnpackLayers, unpackArriving } from './unpack.ts';

export interface PullOptions {
  readonly config: RegistryConfig;
  readonly auth?: Credentials | undefined;
  /** Default this machine's. */
  readonly platform?: Platform | undefined;
  /** The images for all platforms. */
  readonly allPlatforms?: boolean | undefined;
  /** Layers that are downloaded at once; default 3. */
  readonly concurrency?: number | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Unpacks the layers of an image for this machine while others are still on their way; not with `allPlatforms`. */
  readonly unpack?: UnpackLayers | undefined;
}

/** What `images.pull` has brought. */
export interface Pulled {
  /** In full. */
  readonly reference: string;
  /** What the name leads to at the registry: a manifest, or an index. */
  readonly descriptor: Descriptor;
  /** Whether all of it was here already, under this name. */
  readonly isUpToDate: boolean;
}

export const concurrencyDefault = 3;

/**
 * Brings an image from its registry into the store and gives it its name there.
 *
 * Nothing has the name before all of it is there and verified. What is there already is not sent again, parts of blobs
 * included: after a cancellation, a crash or a broken connection the next pull goes on where this one was.
 */
export async function pull(store: ImageStore, reference: Reference, options: PullOptions): Promise<Pulled> {
  const { config, auth } = options;
  // By digest, whatever tag stands before it.
  const wanted = reference.digest === undefined ? reference : withDigest(reference, reference.digest);
  return stoppable(options.signal, `pulling ${showReference(wanted)}`, async (stop) => {
    const client = new RegistryClient({ config, auth, signal: stop.signal });
    const lease = await store.lease();
    try {
      return await pullFrom(client.repository(wanted), store, wanted, options, stop);
    } finally {
      await lease.release();
      client.close();
    }
  });
}

async function pullFrom(
  repository: Repository,
  store: ImageStore,
  reference: Reference,
  options: PullOptions,
  stop: Stop,
): Promise<Pulled> {
  const name = showReference(reference);
  const { platform = thisPlatform(), allPlatforms = false, onProgress } = options;
  const onRetry = async (reason: string, delayMs: number) =>
    onProgress?.({ layer: name, phase: 'retrying', done: 0, total: 0, reason, delayMs });
  const read = async (descriptor: Descriptor): Promise<Buffer> =>
    (await store.has(descriptor))
      ? store.read(descriptor)
      : (await repository.manifest(descriptor.digest, onRetry)).bytes;

  const fetched = await repository.manifest(reference.digest ?? reference.tag!, onRetry);
  const top = parseDocument(fetched.descriptor, fetched.bytes, name);
  const { all } = await (allPlatforms ? allDocuments(top, read, name) : documentsOf(top, platform, read, name));
  const wanted = { blobs: blobsOf(all, name), configs: configurations(all) };
  const arrivals = new Arrivals();
  const isOurs = !allPlatforms && samePlatform(platform, thisPlatform());
  const unpack = isOurs && (await options.unpack?.isKept()) ? options.unpack : undefined;
  const [isAllHere] = await together(stop, [
    downloadAll(repository, store, wanted, { ...options, unpack }, stop, arrivals),
    ...(unpack === undefined ? [] : [unpackArriving({ store, all, name, arrivals, stop, onProgress, unpack })]),
  ]);
  for (const document of all) await checkConfig(store, document, name);
  // Documents after what they refer to: whatever is there leads to something.
  for (const { descriptor, bytes } of all) await store.put(bytes, descriptor.mediaType);
  stop.signal.throwIfAborted();
  const before = await store.resolve(name).catch(() => undefined);
  const isNamed = before?.names.some((each) => each.reference === name && isSame(each.target, top)) ?? false;
  await store.tag(name, top.descriptor);
  return { reference: name, descriptor: top.descriptor, isUpToDate: isNamed && isAllHere };
}

const configurations = (documents: readonly Document[]): ReadonlySet<string> =>
  new Set(documents.flatMap(({ content }) => (content.kind === 'manifest' ? [content.config.digest] : [])));

const ofConfiguration = (tell: OnProgress | undefined): OnProgress | undefined =>
  tell && ((progress) => tell({ ...progress, isConfiguration: true }));

const isSame = (target: Descriptor, { descriptor }: Document): boolean => target.digest === descriptor.digest;

/** Whether all of it was here already. */
async function downloadAll(
  repository: Repository,
  store: ImageStore,
  { blobs, configs }: { readonly blobs: readonly Descriptor[]; readonly configs: ReadonlySet<string> },
  { config, concurrency = concurrencyDefault, onProgress, unpack }: PullOptions,
  stop: Stop,
  arrivals: Arrivals,
): Promise<boolean> {
  let isAllHere = true;
  for (const { digest, size } of blobs) {
    if (!configs.has(digest)) await onProgress?.({ layer: digest, phase: 'waiting', done: 0, total: size });
  }
  await several(blobs, concurrency, stop, async (blob) => {
    const isLayer = !configs.has(blob.digest);
    const how = await download(repository, store, blob, {
      timing: config.timing,
      signal: stop.signal,
      onProgress: isLayer ? onProgress : ofConfiguration(onProgress),
      isUnpacked: isLayer && unpack !== undefined,
    });
    if (how === 'done') isAllHere = false;
    arrivals.add(blob.digest, how);
  });
  return isAllHere;
}

async function checkConfig(store: ImageStore, { content }: Document, name: string): Promise<void> {
  if (content.kind === 'manifest') parseConfig(await store.read(content.config), content, name);
}
