import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { type CommitOptions, commitImage } from './commit.ts';
import { Events, type ImageEvent } from './events.ts';
import { type ImportOptions, importImage } from './import.ts';
import { imageUsers, usersOf } from './in-use.ts';
import { type HistoryStep, historyOf, type Inspected, inspectImage, repoDigests } from './inspect.ts';
import { type LoadOptions, loadImages } from './load.ts';
import { parsePlatform } from './platform.ts';
import { matches, type Pruned, type PruneFilter, pruneImages } from './prune.ts';
import { familiarName, parseReference, showReference } from './reference.ts';
import { loadRegistryConfig, type Registries } from './registry/config.ts';
import type { Credentials } from './registry/credentials.ts';
import { type LoggedIn, login, logout } from './registry/login.ts';
import { noSuchImage, type Removed, removeImage } from './remove.ts';
import { type SavedAs, type SaveFormat, saveArchive, saveTo } from './save.ts';
import { ImageStore, type StoredImage, type Verified } from './store/store.ts';
import { copy } from './transfer/copy.ts';
import type { OnProgress } from './transfer/progress.ts';
import { type Pulled, pull } from './transfer/pull.ts';
import { type Pushed, push } from './transfer/push.ts';

/** An image that is stored here. */
export interface Image {
  /** The digest of its configuration. */
  readonly id: string;
  /** The digest of its manifest. */
  readonly digest: string;
  /** In full: `docker.io/library/debian:12`. */
  readonly references: readonly string[];
  /** `debian@sha256:…` */
  readonly repoDigests: readonly string[];
  /** Bytes as stored. */
  readonly size: number;
  readonly created: Date | undefined;
  /** `linux/amd64` */
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string | undefined };
  readonly config: ImageConfig;
  /** Containers that were made of it. */
  readonly containers: readonly string[];
}

export interface TransferOptions {
  readonly auth?: Credentials | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PullOptions extends TransferOptions {
  /** `linux/arm64`; default this machine's. */
  readonly platform?: string | undefined;
  readonly allPlatforms?: boolean | undefined;
}

export interface ImagesOptions {
  /** The data directory; images are in `images` below it. */
  readonly directory: string;
  /** Settings of registries, over those of the configuration files. */
  readonly registries?: Registries | undefined;
}

export interface ImageFilter extends PruneFilter {
  /** A repository (`debian`) or a whole name (`debian:12`). */
  readonly reference?: string | undefined;
  /** Only images without a name, or only those with one. */
  readonly dangling?: boolean | undefined;
}

/** The images of a data directory. */
export class Images {
  readonly #directory: string;
  readonly #registries: Registries | undefined;
  readonly #events = new Events<ImageEvent>();
  #store: Promise<ImageStore> | undefined;

  constructor({ directory, registries }: ImagesOptions) {
    this.#directory = directory;
    this.#registries = registries;
  }

  /** Brings an image from its registry. */
  async pull(reference: string, options: PullOptions = {}): Promise<Pulled> {
    const { platform, ...rest } = options;
    const config = await loadRegistryConfig(this.#registries);
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    const pulled = await pull(await this.store(), parseReference(reference), { ...rest, platform: wanted, config });
    await this.#tell('pull', pulled.reference);
    return pulled;
  }

  /** Sends an image to the registry of its name. */
  async push(reference: string, options: TransferOptions = {}): Promise<Pushed> {
    const config = await loadRegistryConfig(this.#registries);
    const pushed = await push(await this.store(), parseReference(reference), { ...options, config });
    await this.#tell('push', pushed.reference);
    return pushed;
  }

  /** Copies an image from one registry to another; nothing of it is stored here. */
  async copy(from: string, to: string, options: PullOptions = {}): Promise<Pushed> {
    const { platform, ...rest } = options;
    const config = await loadRegistryConfig(this.#registries);
    const wanted = platform === undefined ? undefined : parsePlatform(platform);
    return copy(parseReference(from), parseReference(to), { ...rest, platform: wanted, config });
  }

  /** Shows credentials to a registry and keeps them where Docker does. */
  async login(
    domain: string,
    { username, password }: Credentials & { username: string; password: string },
  ): Promise<LoggedIn> {
    return login(domain, { config: await loadRegistryConfig(this.#registries), username, password });
  }

  /** Forgets the credentials for a registry; false where there were none. */
  async logout(domain: string): Promise<boolean> {
    return logout(domain, await loadRegistryConfig(this.#registries));
  }

  /** An image by a name, an id, a digest, or the beginning of an id. ERR_NOT_FOUND where there is none. */
  async get(reference: string): Promise<Image> {
    return this.#shown(await this.#find(reference));
  }

  /** The images that are here, the newest first. */
  async list(filter: ImageFilter = {}): Promise<readonly Image[]> {
    const users = await imageUsers(this.#containers);
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
  async damaged(): Promise<readonly string[]> {
    const { damaged } = await (await this.store()).survey();
    return damaged.map(({ reference, target, problem }) => `${reference ?? target.digest}: ${problem}`);
  }

  /** All that is known of an image, in Docker's words. */
  async inspect(reference: string): Promise<Inspected> {
    return inspectImage(await this.#find(reference));
  }

  /** How an image was made, the newest step first. */
  async history(reference: string): Promise<readonly HistoryStep[]> {
    return historyOf(await this.#find(reference));
  }

  /** Gives an image another name. */
  async tag(source: string, name: string): Promise<void> {
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
  async remove(reference: string, options: { readonly force?: boolean } = {}): Promise<readonly Removed[]> {
    const users = await imageUsers(this.#containers);
    const removed = await removeImage(await this.store(), reference, { ...options, users });
    for (const each of removed) {
      if ('untagged' in each) this.#emit('untag', each.untagged, each.untagged);
      else this.#emit('delete', each.deleted, undefined);
    }
    return removed;
  }

  /** Stores the images of an archive (`docker save`, OCI), of an OCI layout, or of a stream of such an archive. */
  async load(from: string | AsyncIterable<Uint8Array>, options: LoadOptions = {}): Promise<readonly Image[]> {
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

  /** Images as an archive, in a stream. */
  async save(
    references: readonly string[],
    format: Exclude<SaveFormat, 'oci-dir'> = 'docker-archive',
  ): Promise<Readable> {
    return saveArchive(await this.store(), await this.#savedAs(references), format);
  }

  /** Images as an archive in a file, or as an OCI layout in a directory. */
  async saveTo(
    references: readonly string[],
    path: string,
    options: { format?: SaveFormat; signal?: AbortSignal } = {},
  ) {
    const { format = 'docker-archive', signal } = options;
    const images = await this.#savedAs(references);
    await saveTo(await this.store(), images, path, format, signal);
    for (const { image } of images) this.#emit('save', image.id, undefined);
  }

  /** Makes an image of the archive of a root file system. */
  async import(from: string | AsyncIterable<Uint8Array>, options: ImportOptions = {}): Promise<Image> {
    const { id, target } = await importImage(await this.store(), from, options);
    this.#emit('import', id, options.reference);
    return this.get(target.digest);
  }

  /** Makes an image of another and what a container changed: a layer as a tar archive. */
  async commit(base: string, diff: Readable, options: CommitOptions = {}): Promise<Image> {
    const { id, target } = await commitImage(await this.store(), await this.#find(base), diff, options);
    this.#emit('commit', id, options.reference);
    return this.get(target.digest);
  }

  /** Removes images that nothing uses: those without a name, or with `all` every one that no container uses. */
  async prune(options: PruneFilter & { readonly all?: boolean; readonly graceMs?: number } = {}): Promise<Pruned> {
    const pruned = await pruneImages(await this.store(), { ...options, users: await imageUsers(this.#containers) });
    this.#emit('prune', '', undefined);
    return pruned;
  }

  /** Reads every blob, and says what is damaged or missing. */
  async verify(): Promise<Verified> {
    return (await this.store()).verify();
  }

  /** What happens to the images through this object, from the call on. */
  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<ImageEvent> {
    return this.#events.listen(options.signal);
  }

  /** The store behind it. */
  store(): Promise<ImageStore> {
    this.#store ??= ImageStore.open(join(this.#directory, 'images')).catch((error) => {
      this.#store = undefined;
      throw error;
    });
    return this.#store;
  }

  get #containers(): string {
    return join(this.#directory, 'containers');
  }

  async #find(reference: string): Promise<StoredImage> {
    const image = await (await this.store()).resolve(reference);
    if (image === undefined) throw noSuchImage(reference);
    return image;
  }

  async #shown(image: StoredImage): Promise<Image> {
    return shown(image, usersOf(image, await imageUsers(this.#containers)));
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
    this.#events.emit({ type: 'image', action, id, reference, at: new Date() });
  }
}

/** A name in full; undefined for what is none. */
function whole(text: string): string | undefined {
  try {
    return showReference(parseReference(text));
  } catch {
    return undefined;
  }
}

function shown(image: StoredImage, containers: readonly string[]): Image {
  const { id, descriptor, names, size, document } = image;
  const created = new Date(document.created ?? '');
  return {
    id,
    digest: descriptor.digest,
    references: names.map(({ reference }) => reference),
    repoDigests: repoDigests(image),
    size,
    created: Number.isNaN(created.getTime()) ? undefined : created,
    platform: document.platform,
    config: document.config,
    containers,
  };
}

const newestFirst = (a: Image, b: Image): number => (b.created?.getTime() ?? 0) - (a.created?.getTime() ?? 0);

function isMeant(image: StoredImage, { reference, dangling, ...filter }: ImageFilter): boolean {
  if (dangling !== undefined && (image.names.length === 0) !== dangling) return false;
  if (reference !== undefined && !image.names.some((each) => isOf(each.reference, reference))) return false;
  return matches(image, filter);
}

/** A pattern as in a shell, for the repository or the whole name. */
function isOf(name: string, pattern: string): boolean {
  const { domain, path, tag, digest } = parseReference(name);
  const repository = familiarName({ domain, path });
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replace(/\?/g, '[^/]');
  const forms = [
    repository,
    `${repository}:${tag}`,
    `${domain}/${path}`,
    `${domain}/${path}:${tag}`,
    `${repository}@${digest}`,
  ];
  return forms.some((form) => new RegExp(`^${escaped}$`).test(form));
}
