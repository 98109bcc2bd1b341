import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Lifetime } from '../host/lifetime.ts';
import { undoneAtAbort, unlessAborted, type WaitOptions } from '../node/aborted.ts';
import { whileHeld } from '../node/held.ts';
import type { CommitOptions } from './commit.ts';
import type { ContainerName, FoundContainer } from './container.ts';
import { Events, type ImageEvent } from './events.ts';
import { type Image, type ImageFilter, isMeant, isOf, newestFirst, shown } from './image.ts';
import type { ImportOptions } from './import.ts';
import { type ImageUser, imageUsers, usersOf } from './in-use.ts';
import { type HistoryStep, historyOf, type Inspected, inspectImage } from './inspect.ts';
import type { JsonObject } from './json.ts';
import type { LoadOptions } from './load.ts';
import type { ImagesOptions, PruneImages, PullOptions, RemoveImage, TransferOptions } from './options.ts';
import { parsePlatform } from './platform.ts';
import type { Pruned } from './prune.ts';
import { parseReference, showReference } from './reference.ts';
import { loadRegistryConfig, type Registries } from './registry/config.ts';
import type { Credentials } from './registry/credentials.ts';
import type { LoggedIn } from './registry/login.ts';
import type { Removed } from './remove.ts';
import type { SavedAs, SaveFormat } from './save.ts';
import type { ImageStore, StoredImage, Verified } from './store/store.ts';
import type { Pulled } from './transfer/pull.ts';
import type { Pushed } from './transfer/push.ts';
import type { UnpackedLayers } from './unpacked.ts';

export type { CommitOptions } from './commit.ts';
export type { Change, ContainerName } from './container.ts';
export type { Image, ImageFilter } from './image.ts';
export type { ImportOptions } from './import.ts';
export type { HistoryStep, Inspected } from './inspect.ts';
export type { LoadOptions } from './load.ts';
export type { PruneImages, PullOptions, RemoveImage, TransferOptions } from './options.ts';
export type { Pruned } from './prune.ts';
export type { Removed } from './remove.ts';
export type { SaveFormat } from './save.ts';
export type { Verified } from './store/store.ts';
export type { Progress } from './transfer/progress.ts';
export type { Pulled } from './transfer/pull.ts';
export type { Pushed } from './transfer/push.ts';

/** The images of a data directory. What its methods need is loaded when they are called: few programs call many. */
export class Images {
  readonly #directory: string;
  readonly #registries: Registries | undefined;
  readonly #unpacked: UnpackedLayers | undefined;
  readonly #events = new Events<ImageEvent>();
  readonly #listener: ImagesOptions['tell'];
  readonly #lifetime: Lifetime | undefined;
  readonly #isNobodys: (container: string) => boolean;
  #store: Promise<ImageStore> | undefined;

  constructor({ directory, registries, unpacked, tell, lifetime, isNobodys = () => false }: ImagesOptions) {
    this.#isNobodys = isNobodys;
    this.#lifetime = lifetime;
    this.#directory = directory;
    this.#registries = registries;
    this.#unpacked = unpacked;
    this.#listener = tell;
  }

  /** Brings an image from its registry. */
  async pull(reference: string, options: PullOptions = {}): Promise<Pulled> {
    const { platform, unpack: isUnpacked = true, ...rest } = options;
    const { pull } = await import('./transfer/pull.ts');
    const name = parseReference(reference);
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    const config = await loadRegistryConfig(this.#registries);
    const unpack = isUnpacked ? this.#unpacked : undefined;
    const pulled = await pull(await this.store(), name, { ...rest, platform: wanted, config, unpack });
    await this.#tell('pull', pulled.reference);
    return pulled;
  }

  /** Sends an image to the registry of its name. */
  async push(reference: string, options: TransferOptions = {}): Promise<Pushed> {
    const { push } = await import('./transfer/push.ts');
    const config = await loadRegistryConfig(this.#registries);
    const pushed = await push(await this.store(), parseReference(reference), { ...options, config });
    await this.#tell('push', pushed.reference);
    return pushed;
  }

  /** Copies an image from one registry to another; nothing of it is stored here. */
  async copy(from: string, to: string, options: Omit<PullOptions, 'unpack'> = {}): Promise<Pushed> {
    const { copy } = await import('./transfer/copy.ts');
    const { platform, ...rest } = options;
    const config = await loadRegistryConfig(this.#registries);
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    return copy(parseReference(from), parseReference(to), { ...rest, platform: wanted, config });
  }

  /** Shows credentials to a registry and keeps them where Docker does. */
  async login(
    domain: string,
    { username, password, signal }: Credentials & { username: string; password: string } & WaitOptions,
  ): Promise<LoggedIn> {
    const { login } = await import('./registry/login.ts');
    const config = await loadRegistryConfig(this.#registries);
    return unlessAborted(signal, () => login(domain, { config, username, password }));
  }

  /** Forgets the credentials for a registry; false where there were none. */
  async logout(domain: string): Promise<boolean> {
    const { logout } = await import('./registry/login.ts');
    return logout(domain, await loadRegistryConfig(this.#registries));
  }

  /** An image by a name, an id, a digest, or the beginning of an id. ERR_NOT_FOUND where there is none. */
  get(reference: string, { signal }: WaitOptions = {}): Promise<Image> {
    return unlessAborted(signal, async () => this.#shown(await this.#find(reference)));
  }

  /** The images that are here, the newest first. */
  list(filter: ImageFilter = {}, { signal }: WaitOptions = {}): Promise<readonly Image[]> {
    return unlessAborted(signal, () => this.#list(filter));
  }

  async #list(filter: ImageFilter): Promise<readonly Image[]> {
    const users = await this.#users();
    const found = (await (await this.store()).list()).filter((image) => isMeant(image, filter));
    const { reference } = filter;
    // Of an image with several names, those that were asked for.
    const narrowed = found.map((image) =>
      reference === undefined
        ? image
        : { ...image, names: image.names.filter((each) => isOf(each.reference, reference)) },
    );
    return narrowed.map((image, i) => shown(image, usersOf(found[i]!, users))).sort(newestFirst);
  }

  /** What cannot be read of the store, and why; empty when all is well. */
  damaged({ signal }: WaitOptions = {}): Promise<readonly string[]> {
    return unlessAborted(signal, async () => {
      const { damaged } = await (await this.store()).survey();
      return damaged.map(({ reference, target, problem }) => `${reference ?? target.digest}: ${problem}`);
    });
  }

  /** All that is known of an image, in Docker's words. */
  inspect(reference: string, { signal }: WaitOptions = {}): Promise<Inspected> {
    return unlessAborted(signal, async () => inspectImage(await this.#find(reference)));
  }

  /** How an image was made, the newest step first. */
  history(reference: string, { signal }: WaitOptions = {}): Promise<readonly HistoryStep[]> {
    return unlessAborted(signal, async () => historyOf(await this.#find(reference)));
  }

  /** Gives an image another name. */
  tag(source: string, name: string, { signal }: WaitOptions = {}): Promise<void> {
    return unlessAborted(signal, () => this.#tag(source, name));
  }

  async #tag(source: string, name: string): Promise<void> {
    const reference = parseReference(name);
    if (reference.digest !== undefined) {
      throw new RuntsError('ERR_SPEC', `cannot tag as ${name}: a name that is given has no digest`);
    }
    const { names, targets } = await this.#find(source);
    const exact = names.find((each) => each.reference === whole(source));
    await (await this.store()).tag(name, exact?.target ?? targets[0]!);
    await this.#tell('tag', showReference(reference));
  }

  /** Takes a name away, and with the last one the image. ERR_STATE while a container uses it, unless forced. */
  remove(reference: string, { signal, ...options }: RemoveImage = {}): Promise<readonly Removed[]> {
    return unlessAborted(signal, () => this.#remove(reference, options));
  }

  async #remove(reference: string, options: RemoveImage): Promise<readonly Removed[]> {
    const { removeImage } = await import('./remove.ts');
    const users = await this.#users();
    const removed = await removeImage(await this.store(), reference, { ...options, users });
    await this.#collectLayers();
    for (const each of removed) {
      if ('untagged' in each) this.#emit('untag', each.untagged, each.untagged);
      else this.#emit('delete', each.deleted, undefined);
    }
    return removed;
  }

  /** Stores the images of an archive (`docker save`, OCI), of an OCI layout, or of a stream of such an archive. */
  load(from: string | AsyncIterable<Uint8Array>, options: LoadOptions = {}): Promise<readonly Image[]> {
    return reading(from, options.signal, (held) => this.#load(held, options));
  }

  async #load(from: string | AsyncIterable<Uint8Array>, options: LoadOptions): Promise<readonly Image[]> {
    const { loadImages } = await import('./load.ts');
    const store = await this.store();
    const images: Image[] = [];
    for (const { target, references } of await loadImages(store, from, options)) {
      const image = await this.get(target.digest);
      this.#emit('load', image.id, references[0]);
      // The names that it has in the archive; elsewhere it may have others.
      images.push({ ...image, references });
    }
    return images;
  }

  /** Images as an archive, in a stream, which ends with ERR_CANCELED after the signal. One that is not read to its end is to be destroyed. */
  save(
    references: readonly string[],
    format: Exclude<SaveFormat, 'oci-dir'> = 'docker-archive',
    { signal }: WaitOptions = {},
  ): Promise<Readable> {
    return unlessAborted(signal, async () => {
      const { saveArchive } = await import('./save.ts');
      return saveArchive(await this.store(), await this.#savedAs(references), format, signal);
    });
  }

  /** Images as an archive in a file, or as an OCI layout in a directory. */
  async saveTo(
    references: readonly string[],
    path: string,
    options: { format?: SaveFormat; signal?: AbortSignal } = {},
  ) {
    const { saveTo } = await import('./save.ts');
    const { format = 'docker-archive', signal } = options;
    const images = await undoneAtAbort(signal, async () => {
      const images = await this.#savedAs(references);
      await saveTo(await this.store(), images, path, format, signal);
      return images;
    });
    for (const { image } of images) this.#emit('save', image.id, undefined);
  }

  /** Makes an image of the archive of a root file system. */
  import(from: string | AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<Image> {
    return reading(from, options.signal, (held) => this.#import(held, options));
  }

  async #import(from: string | AsyncIterable<Uint8Array>, options: ImportOptions): Promise<Image> {
    const { importImage } = await import('./import.ts');
    const { id, target } = await importImage(await this.store(), from, options);
    this.#emit('import', id, options.reference);
    return this.get(target.digest);
  }

  /**
   * Makes an image of a container: its image, what it has changed, and what its options put in the place of the image's
   * configuration. A container that runs goes on; what it writes meanwhile is in the image or not.
   */
  async commit(container: ContainerName, options: Omit<CommitOptions, 'config' | 'createdBy'> = {}): Promise<Image> {
    const { commitImage } = await import('./commit.ts');
    const found = await this.#container(container);
    const { layer, note } = found;
    const { command, config, mountPoints } = note;
    (await import('./container.ts')).mustBeOfImage(found);
    const base = await this.#baseOf(layer.image);
    const diff = layer.diff({ mountPoints, signal: options.signal });
    const made = { createdBy: command.join(' '), config: config as JsonObject, ...options };
    const { id, target } = await commitImage(await this.store(), base, diff, made);
    this.#emit('commit', id, options.reference);
    return this.get(target.digest);
  }

  /** The whole root file system of a container as a tar archive. */
  async export(container: ContainerName, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Readable> {
    const { layer, note } = await this.#container(container);
    return layer.export({ mountPoints: note.mountPoints, signal });
  }

  /** What a container has added (`A`), changed (`C`) and deleted (`D`), as `docker diff` tells it. */
  async changes(container: ContainerName, { signal }: { readonly signal?: AbortSignal } = {}) {
    const { layer, note } = await this.#container(container);
    return layer.changes({ mountPoints: note.mountPoints, signal });
  }

  /** Removes images that nothing uses: those without a name, or with `all` every one that no container uses. */
  prune({ signal, ...options }: PruneImages = {}): Promise<Pruned> {
    return unlessAborted(signal, () => this.#prune(options));
  }

  async #prune(options: PruneImages): Promise<Pruned> {
    const { pruneImages } = await import('./prune.ts');
    const pruned = await pruneImages(await this.store(), { ...options, users: await this.#users() });
    await this.#collectLayers();
    this.#emit('prune', '', undefined);
    return pruned;
  }

  /** Reads every blob, and says what is damaged or missing. */
  verify({ signal }: WaitOptions = {}): Promise<Verified> {
    return unlessAborted(signal, async () => (await this.store()).verify());
  }

  /** What happens to the images through this object, from the call on. */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<ImageEvent> {
    return this.#events.listen(options.signal);
  }

  /** The store behind it. */
  store(): Promise<ImageStore> {
    this.#store ??= this.#open().catch((error) => {
      this.#store = undefined;
      throw error;
    });
    return this.#store;
  }

  /** Unpacked layers go with the images and containers that they are for. */
  async #collectLayers(): Promise<void> {
    const { collectLayers } = await import('./reap.ts');
    await collectLayers(await this.store(), this.#unpacked);
  }

  async #open(): Promise<ImageStore> {
    const { ImageStore } = await import('./store/store.ts');
    return ImageStore.open(join(this.#directory, 'images'), this.#lifetime);
  }

  async #container(container: ContainerName): Promise<FoundContainer> {
    if (this.#unpacked === undefined) {
      throw new RuntsError('ERR_UNSUPPORTED', 'there are images here, but no containers');
    }
    const { findContainer } = await import('./container.ts');
    return findContainer(this.#unpacked.host, container);
  }

  async #baseOf(digest: string): Promise<StoredImage> {
    const image = await (await this.store()).resolve(digest);
    if (image !== undefined) return image;
    throw new RuntsError('ERR_NOT_FOUND', `the image of the container, ${digest}, is not in the store`, {
      hint: 'A container of an archive can be committed once the archive was loaded: `runts load`.',
    });
  }

  async #users(): Promise<readonly ImageUser[]> {
    const all = await imageUsers(join(this.#directory, 'containers'));
    return all.filter(({ container }) => !this.#isNobodys(container));
  }

  async #find(reference: string): Promise<StoredImage> {
    const image = await (await this.store()).resolve(reference);
    if (image !== undefined) return image;
    const { noSuchImage } = await import('./remove.ts');
    throw noSuchImage(reference);
  }

  async #shown(image: StoredImage): Promise<Image> {
    return shown(image, usersOf(image, await this.#users()));
  }

  /** A name brings itself, a repository all of its tags, an id no name: as `docker save` has it. */
  async #savedAs(texts: readonly string[]): Promise<readonly SavedAs[]> {
    const saved = new Map<string, { image: StoredImage; target: SavedAs['target']; references: Set<string> }>();
    for (const text of texts) {
      const image = await this.#find(text);
      const named = image.names.filter(({ reference }) => reference === whole(text));
      const target = named[0]?.target ?? image.targets[0]!;
      const entry = saved.get(target.digest) ?? { image, target, references: new Set() };
      for (const { reference } of named) entry.references.add(reference);
      saved.set(target.digest, entry);
    }
    return [...saved.values()].map(({ references, ...rest }) => ({ ...rest, references: [...references] }));
  }

  async #tell(action: ImageEvent['action'], reference: string): Promise<void> {
    const image = await (await this.store()).resolve(reference).catch(() => undefined);
    this.#emit(action, image?.id ?? reference, reference);
  }

  #emit(action: ImageEvent['action'], id: string, reference: string | undefined): void {
    const event: ImageEvent = { type: 'image', action, id, reference, at: new Date() };
    this.#events.emit(event);
    this.#listener?.(event);
  }
}

/** Reads what is given by its path, or as a stream, which is held from the call on. */
function reading<T>(
  from: string | AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  work: (from: string | AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  return undoneAtAbort(signal, () => (typeof from === 'string' ? work(from) : whileHeld(from, work, signal)));
}

/** A name in full; undefined for what is none. */
function whole(text: string): string | undefined {
  try {
    return showReference(parseReference(text));
  } catch {
    return undefined;
  }
}
