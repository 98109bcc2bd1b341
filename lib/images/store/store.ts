import { readdir, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { RuntsError } from '../../errors.ts';
import type { Lifetime } from '../../host/lifetime.ts';
import { FileChunks } from '../../layers/file-chunks.ts';
import { Refused } from '../../layers/refused.ts';
import { Remembered } from '../../layers/remembered.ts';
import { isShortage } from '../../layers/shortage.ts';
import { thisPlatform } from '../archive.ts';
import { samePlatform } from '../choose.ts';
import { algorithmOf, digestOf, verified } from '../digest.ts';
import { directoryFiles } from '../directory.ts';
import { documentBytesMax } from '../limits.ts';
import type { Descriptor } from '../manifest.ts';
import { openManifest } from '../oci-layout.ts';
import { parseReference, showReference } from '../reference.ts';
import type { ImageSource, Platform } from '../source.ts';
import { type Collected, type CollectOptions, collectBlobs, reachable } from './collect.ts';
import { findImage } from './find.ts';
import { forgotten, kept, named } from './goes-with.ts';
import { type IndexEntry, readIndex, type StoreIndex, writeIndex } from './index-file.ts';
import { type BlobId, type Ingest, type IngestTarget, openIngest } from './ingest.ts';
import { type Lease, makeLease, oldestLease } from './lease.ts';
import { waitLock } from './lock.ts';
import { makeDirectory, Place, replaceFile } from './place.ts';
import { readWhole } from './read.ts';
import { type Found, followTarget, joinImages, type StoredImage } from './stored-image.ts';
import { systemError } from './system-error.ts';
import { type Verified, verifyBlobs } from './verify.ts';

export type { Collected, CollectOptions } from './collect.ts';
export type { BlobId, Ingest } from './ingest.ts';
export type { Lease } from './lease.ts';
export type { Named, StoredImage } from './stored-image.ts';
export type { Verified } from './verify.ts';

/** Holding the lock is short: whoever does so for longer is stopped, or debugged. */
const lockDeadlineMs = 60_000;

/** How many names are known without reading what they mean. */
const recalledMax = 256;

/** An entry of the index whose image cannot be read. */
export interface DamagedImage {
  readonly reference: string | undefined;
  readonly target: Descriptor;
  readonly problem: string;
}

/** What is asked of a name that leads to images for several platforms. */
export interface ResolveOptions {
  /** Only for this platform; unless given, for this machine's, or whichever is here. */
  readonly platform?: Platform | undefined;
}

/**
 * Images in a directory: an OCI image layout, which other tools read and write too, used by any number of processes at
 * once.
 *
 * A blob has its final name only when it is whole and on the disk; index.json is replaced as a whole under a lock. So a
 * process that is killed at any moment leaves nothing that is wrong, and what it was writing is gone on with by the
 * next. Nothing is removed but by `collect`.
 */
export class ImageStore {
  readonly #place: Place;
  /** What is stored goes with it; undefined: it stays. */
  readonly #lifetime: Lifetime | undefined;
  /** Those of this process; a blob that it stores is not older than them, whatever the clock does. */
  readonly #leases = new Set<number>();
  readonly #known = new Remembered<StoredImage>(recalledMax);

  private constructor(place: Place, lifetime: Lifetime | undefined) {
    this.#place = place;
    this.#lifetime = lifetime;
  }

  /** Opens the store of a directory, which is made where it is not there. */
  static async open(directory: string, lifetime?: Lifetime): Promise<ImageStore> {
    const place = new Place(directory);
    const store = new ImageStore(place, lifetime);
    try {
      for (const path of [place.directory, place.blobs, join(place.blobs, 'sha256'), place.ingest, place.leases]) {
        await makeDirectory(path);
      }
      // The file that makes it a layout is written last: where it is, all of it is.
      if ((await readWhole(place.layout, documentBytesMax)) === undefined) await store.#locked(() => store.#begin());
    } catch (error) {
      throw systemError(error, 'make its directory');
    }
    return store;
  }

  get directory(): string {
    return this.#place.directory;
  }

  // ---- blobs ---------------------------------------------------------------------------------------------------------

  /** Whether a blob is here. While a lease is held it stays, after this said so. */
  has(blob: BlobId): Promise<boolean> {
    return this.#locked(() => this.#touch(blob));
  }

  /** The bytes of a blob; the stream fails at its end if they are not those of the digest. */
  open(blob: BlobId): Readable {
    return verified(this.openUnverified(blob), blob.digest, blob.size);
  }

  /** The bytes of a blob for somebody who finds out by himself what digest they have. */
  openUnverified({ digest }: BlobId): Readable {
    return new FileChunks(this.#place.blob(digest));
  }

  /** The whole of a small blob, verified. */
  async read(blob: BlobId, bytesMax = documentBytesMax): Promise<Buffer> {
    const bytes = await readWhole(this.#place.blob(blob.digest), bytesMax).catch((error) => {
      throw systemError(error, 'read');
    });
    if (bytes === undefined) {
      throw new RuntsError('ERR_NOT_FOUND', `the blob ${blob.digest} is not in the image store`, { hint: pullHint });
    }
    if (bytes.length === blob.size && digestOf(bytes, algorithmOf(blob.digest)) === blob.digest) return bytes;
    throw new RuntsError('ERR_IMAGE', `the blob ${blob.digest} in the image store is damaged`, { hint: pullHint });
  }

  /** Stores a small document. */
  async put(bytes: Uint8Array, mediaType: string): Promise<Descriptor> {
    const digest = digestOf(bytes);
    const ingest = await this.ingest({ digest, size: bytes.length });
    try {
      const rest = bytes.subarray(ingest.offset);
      if (rest.length > 0) await ingest.write(rest);
      await ingest.commit();
    } finally {
      await ingest.close();
    }
    return { mediaType, digest, size: bytes.length, platform: undefined, annotations: {} };
  }

  /** Begins to store a blob, or goes on with what was left of it. While another process has the same, waits for it. */
  async ingest(target: IngestTarget, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<Ingest> {
    await this.#lifetime?.begin();
    const store = {
      place: this.#place,
      now: () => this.#now(),
      has: (blob: BlobId) => this.has(blob),
      note: async (digest: string) => this.#lifetime?.noteBlob(digest),
    };
    return openIngest(store, target, signal).catch((error) => {
      throw systemError(error, 'write a blob to');
    });
  }

  // ---- references ----------------------------------------------------------------------------------------------------

  /** Lets a reference mean what a descriptor leads to, which must be stored. What it meant before loses the name. */
  async tag(reference: string, target: Descriptor): Promise<void> {
    const name = showReference(parseReference(reference));
    const by = this.#lifetime?.id;
    await this.#lifetime?.begin();
    await this.#change(async ({ entries }) => {
      await this.#mustLead(target);
      return named(entries, { name, target, by });
    });
  }

  /** Keeps an image that has no name; one that has stays as it is. */
  async keep(target: Descriptor): Promise<void> {
    const by = this.#lifetime?.id;
    await this.#lifetime?.begin();
    await this.#change(async ({ entries }) => {
      await this.#mustLead(target);
      return kept(entries, { target, by });
    });
  }

  /** An ephemeral runtime has ended: what goes with it goes, unless it leads to one of these digests, which are used. */
  async forget(runtime: string, used: ReadonlySet<string>): Promise<void> {
    await this.#change(async ({ entries }) => forgotten(entries, runtime, used));
  }

  /** Takes a reference away, and says what it meant; undefined where there is no such reference. */
  async untag(reference: string): Promise<Descriptor | undefined> {
    const name = showReference(parseReference(reference));
    let gone: Descriptor | undefined;
    await this.#change(async ({ entries }) => {
      gone = entries.find((each) => each.reference === name)?.descriptor;
      return gone === undefined ? entries : entries.filter((each) => each.reference !== name);
    });
    return gone;
  }

  /** Takes everything away that leads to these targets. */
  async drop(targets: readonly Descriptor[]): Promise<void> {
    const digests = new Set(targets.map(({ digest }) => digest));
    await this.#change(async ({ entries }) => entries.filter(({ descriptor }) => !digests.has(descriptor.digest)));
  }

  /** Digests of all that these lead to, as far as it can be read: for whoever is about to drop them. */
  partsOf(targets: readonly Descriptor[]): Promise<ReadonlySet<string>> {
    const digests = targets.map(({ digest }) => digest);
    return reachable(this.#place, digests, 'passed over');
  }

  /** The image of a reference, a digest, an id or the beginning of one, as Docker looks for it. */
  async resolve(text: string, options: ResolveOptions = {}): Promise<StoredImage | undefined> {
    const found = findImage(text, await this.#entries(), await this.list());
    if (found === undefined) return undefined;
    if (found.image !== undefined && options.platform === undefined) return found.image;
    const platform = options.platform ?? thisPlatform();
    try {
      const one = await this.#follow(found.target, platform, options.platform !== undefined);
      return joinImages([{ ...one, reference: found.reference, target: found.target }])[0];
    } catch (error) {
      throw cannotRead(text, error);
    }
  }

  /**
   * The same for this machine's platform, and read once for as long as no reference changes: it says nothing of whether its
   * blobs are still as they were.
   */
  async recall(text: string): Promise<StoredImage | undefined> {
    let foreign: StoredImage | undefined;
    const ours = await this.#known.of(this.#place.index, text, async () => {
      const found = await this.resolve(text);
      if (found === undefined || samePlatform(found.document.platform, thisPlatform())) return found;
      foreign = found;
      return undefined;
    });
    return ours ?? foreign;
  }

  /** The images that are here, and can be read. */
  async list(): Promise<readonly StoredImage[]> {
    return (await this.survey()).images;
  }

  /** The images that are here, and apart from them those that cannot be read. */
  async survey(): Promise<{ readonly images: readonly StoredImage[]; readonly damaged: readonly DamagedImage[] }> {
    const found: (Found & { target: Descriptor; reference: string | undefined })[] = [];
    const damaged: DamagedImage[] = [];
    for (const { reference, descriptor: target } of await this.#entries()) {
      try {
        found.push({ ...(await this.#follow(target, thisPlatform(), false)), reference, target });
      } catch (error) {
        if (isShortage(error)) throw error;
        damaged.push({ reference, target, problem: (error as Error).message });
      }
    }
    return { images: joinImages(found), damaged };
  }

  /** An image as what is unpacked: its layers stay until it is closed. */
  async source(image: StoredImage): Promise<ImageSource> {
    const lease = await this.lease();
    try {
      const { descriptor, manifest } = image;
      for (const blob of [descriptor, manifest.config, ...manifest.layers]) await this.has(blob);
      const source = await openManifest(directoryFiles(this.directory), { descriptor, manifest }, undefined);
      return { ...source, close: () => lease.release() };
    } catch (error) {
      await lease.release();
      throw cannotRead(image.names[0]?.reference ?? image.id, error);
    }
  }

  // ---- what stays and what goes --------------------------------------------------------------------------------------

  /** Keeps what is stored or found from now on from being collected, until it is released or this process ends. */
  async lease(): Promise<Lease> {
    await this.#lifetime?.begin();
    return this.#locked(async () => {
      let since = this.#now();
      while (this.#leases.has(since)) since++;
      this.#leases.add(since);
      return makeLease(this.#place, since, () => void this.#leases.delete(since));
    });
  }

  /** Since when somebody has been at work with images that may have no name yet; undefined where nobody is. */
  leasedSince(): Promise<number | undefined> {
    return this.#locked(() => oldestLease(this.#place));
  }

  /** Removes the blobs that nothing leads to. */
  collect(options: CollectOptions = {}): Promise<Collected> {
    return this.#locked(async () => {
      await this.#sweepTemporaries();
      const { entries } = await readIndex(this.#place);
      return collectBlobs(this.#place, entries, this.#now(), options);
    });
  }

  /** Reads all of it, and says what is damaged or missing. */
  async verify(): Promise<Verified> {
    return verifyBlobs(this.#place, await this.#entries()).catch((error) => {
      throw systemError(error, 'read');
    });
  }

  /** Removes a blob that is damaged, so that it can be stored again. */
  async discard(digest: string): Promise<void> {
    await this.#locked(() => unlink(this.#place.blob(digest)).catch(() => undefined));
  }

  // ---- inside --------------------------------------------------------------------------------------------------------

  async #entries(): Promise<readonly IndexEntry[]> {
    const { entries } = await readIndex(this.#place).catch((error) => {
      throw systemError(error, 'read');
    });
    return entries;
  }

  async #begin(): Promise<void> {
    if ((await readWhole(this.#place.index, documentBytesMax)) === undefined) {
      await writeIndex(this.#place, await readIndex(this.#place), []);
    }
    await replaceFile(this.#place.layout, '{"imageLayoutVersion":"1.0.0"}\n');
  }

  #follow(target: Descriptor, platform: Platform, strictly: boolean): Promise<Found> {
    return followTarget(
      target,
      (blob) => this.read(blob),
      (blob) => this.#isStored(blob),
      { platform, strictly },
    );
  }

  async #isStored({ digest, size }: BlobId): Promise<boolean> {
    return (await stat(this.#place.blob(digest)).catch(() => undefined))?.size === size;
  }

  /** Whether it is here; if so, it is as new as if it had been stored now. */
  async #touch(blob: BlobId): Promise<boolean> {
    if (!(await this.#isStored(blob))) return false;
    const seconds = this.#now() / 1000;
    await utimes(this.#place.blob(blob.digest), seconds, seconds);
    return true;
  }

  /** A reference to what is not here would be one to nothing. */
  async #mustLead(target: Descriptor): Promise<void> {
    if (await this.#touch(target)) return;
    throw new RuntsError('ERR_NOT_FOUND', `the manifest ${target.digest} is not in the image store`, {
      hint: pullHint,
    });
  }

  async #change(edit: (index: StoreIndex) => Promise<readonly IndexEntry[]>): Promise<void> {
    await this.#locked(async () => {
      const index = await readIndex(this.#place);
      const entries = await edit(index);
      if (entries !== index.entries) await writeIndex(this.#place, index, entries);
    });
  }

  /** What a process was replacing when it was killed; nobody writes such files without the lock. */
  async #sweepTemporaries(): Promise<void> {
    const names = await readdir(this.directory);
    for (const name of names.filter((each) => each.endsWith('.json.new') || each === 'oci-layout.new')) {
      await unlink(join(this.directory, name)).catch(() => undefined);
    }
  }

  #now(): number {
    return Math.max(Date.now(), ...this.#leases);
  }

  async #locked<T>(work: () => Promise<T>): Promise<T> {
    try {
      const lock = await waitLock(this.#place.lock, {
        what: 'the lock of the image store',
        deadlineMs: lockDeadlineMs,
      });
      try {
        return await work();
      } finally {
        await lock.close();
      }
    } catch (error) {
      throw systemError(error, 'change');
    }
  }
}

const pullHint = 'Pull or load its image again.';

function cannotRead(what: string, cause: unknown): unknown {
  if (!(cause instanceof Refused)) return cause;
  const { message, hint = pullHint, unsupported } = cause;
  const code = unsupported ? 'ERR_UNSUPPORTED' : 'ERR_IMAGE';
  return new RuntsError(code, `cannot read the image ${what}: ${message}`, { cause, hint });
}
