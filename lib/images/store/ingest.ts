import { createHash, type Hash, randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { RuntsError } from '../../errors.ts';
import { chunkBytes } from '../../layers/chunk-pool.ts';
import { algorithmOf, checkDigest } from '../digest.ts';
import { type LockedFile, tryLock, waitLock } from './lock.ts';
import { type Place, syncDirectory, writeAt } from './place.ts';
import { systemError } from './system-error.ts';

/** Exactly which bytes. */
export interface BlobId {
  readonly digest: string;
  readonly size: number;
}

/** One blob on its way into the store. Call one method at a time, and `close` at the end whatever happened. */
export interface Ingest {
  /** Bytes that are there: of an earlier attempt at first. What is written next is what follows them. */
  readonly offset: number;
  /** Nothing is to be written: another has stored the blob already. `commit` gives it. */
  readonly exists: boolean;
  /** Takes what comes next. More than the promised size is refused, and nothing of the attempt is kept. */
  write(chunk: Uint8Array): Promise<void>;
  /** Makes a blob of it once it is whole. One with another digest is refused, and nothing of the attempt is kept. */
  commit(): Promise<BlobId>;
  /** Lets it go. What was written of a blob whose digest is known stays, to be gone on with. */
  close(): Promise<void>;
}

export type IngestTarget = BlobId | { readonly algorithm: 'sha256' | 'sha512' };

/** What an ingest has of its store. */
export interface IngestStore {
  readonly place: Place;
  /** The time that a blob of now is to have, in milliseconds. */
  now(): number;
  has(blob: BlobId): Promise<boolean>;
  /** Hears of a digest that is about to be written, or to have its name. */
  note(digest: string): Promise<void>;
}

/** Opens the ingest of a blob; while another has the same one, waits for it to end. */
export async function openIngest(
  store: IngestStore,
  target: IngestTarget,
  signal: AbortSignal | undefined,
): Promise<Ingest> {
  if (!('digest' in target)) {
    const path = join(store.place.ingest, `new-${randomBytes(8).toString('hex')}`);
    const locked = await waitLock(path, { what: 'a file of its own', signal });
    return new FileIngest(store, { path, locked, expected: undefined, algorithm: target.algorithm });
  }
  checkDigest(target.digest, 'the digest of a blob');
  if (await store.has(target)) return existing(target);
  await store.note(target.digest);
  const path = store.place.partial(target.digest);
  const locked = await waitLock(path, { what: `the download of ${target.digest}`, signal });
  try {
    // Whom we waited for may have finished it.
    if (await store.has(target)) {
      await unlink(path);
      await locked.close();
      return existing(target);
    }
    const ingest = new FileIngest(store, { path, locked, expected: target, algorithm: algorithmOf(target.digest) });
    await ingest.resume(signal);
    return ingest;
  } catch (error) {
    await locked.close();
    throw error;
  }
}

function existing(blob: BlobId): Ingest {
  return {
    offset: blob.size,
    exists: true,
    write: async () => {
      throw new RuntsError('ERR_STATE', `the blob ${blob.digest} is stored already`);
    },
    commit: async () => blob,
    close: async () => {},
  };
}

interface Parts {
  readonly path: string;
  readonly locked: LockedFile;
  readonly expected: BlobId | undefined;
  readonly algorithm: string;
}

class FileIngest implements Ingest {
  readonly exists = false;
  offset = 0;
  readonly #store: IngestStore;
  readonly #parts: Parts;
  #hash: Hash;
  #state: 'open' | 'committed' | 'dropped' | 'closed' = 'open';

  constructor(store: IngestStore, parts: Parts) {
    this.#store = store;
    this.#parts = parts;
    this.#hash = createHash(parts.algorithm);
  }

  /** Takes up what an earlier attempt left, by hashing it. */
  async resume(signal: AbortSignal | undefined): Promise<void> {
    const { locked, expected } = this.#parts;
    const { size } = await locked.file.stat();
    if (size === 0) return;
    if (size > expected!.size) return void (await locked.file.truncate(0));
    const buffer = Buffer.allocUnsafe(chunkBytes);
    while (this.offset < size) {
      signal?.throwIfAborted();
      const { bytesRead } = await locked.file.read(buffer, 0, buffer.length, this.offset);
      if (bytesRead === 0) break;
      this.#hash.update(buffer.subarray(0, bytesRead));
      this.offset += bytesRead;
    }
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#mustBeOpen();
    const { locked, expected } = this.#parts;
    if (expected !== undefined && this.offset + chunk.length > expected.size) {
      await this.#drop();
      throw this.#refused(`it has ${this.offset + chunk.length} bytes or more, and should have ${expected.size}`);
    }
    await writeAt(locked.file, chunk, this.offset).catch((error) => {
      throw systemError(error, 'write a blob to');
    });
    this.#hash.update(chunk);
    this.offset += chunk.length;
  }

  async commit(): Promise<BlobId> {
    this.#mustBeOpen();
    const { expected, algorithm } = this.#parts;
    if (expected !== undefined && this.offset !== expected.size) {
      throw this.#refused(`it ends after ${this.offset} bytes, and should have ${expected.size}`);
    }
    const digest = `${algorithm}:${this.#hash.digest('hex')}`;
    if (expected !== undefined && digest !== expected.digest) {
      await this.#drop();
      throw this.#refused(`its content has the digest ${digest}`);
    }
    if (expected === undefined) await this.#store.note(digest);
    const blob = { digest, size: this.offset };
    await this.#publish(blob).catch((error) => {
      throw systemError(error, 'store a blob in');
    });
    this.#state = 'committed';
    return blob;
  }

  async close(): Promise<void> {
    const before = this.#state;
    if (before === 'closed') return;
    this.#state = 'closed';
    const { expected, path, locked } = this.#parts;
    // Nobody could find it again, or there is nothing to find.
    if (before === 'open' && (expected === undefined || this.offset === 0)) await unlink(path).catch(() => undefined);
    await locked.close();
  }

  /** The name that is final is given to what is whole, and on the disk. */
  async #publish(blob: BlobId): Promise<void> {
    const { path, locked } = this.#parts;
    const { place } = this.#store;
    const to = place.blob(blob.digest);
    if ((await stat(to).catch(() => undefined))?.size === blob.size && (await this.#store.has(blob))) {
      await unlink(path);
      return;
    }
    await locked.file.sync();
    const seconds = this.#store.now() / 1000;
    await locked.file.utimes(seconds, seconds);
    const directory = place.blobDirectory(blob.digest);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await rename(path, to);
    await syncDirectory(directory);
  }

  /** Of bytes that are wrong nothing is kept: the next attempt begins anew. */
  async #drop(): Promise<void> {
    this.#state = 'dropped';
    await unlink(this.#parts.path).catch(() => undefined);
  }

  #mustBeOpen(): void {
    if (this.#state !== 'open') throw new RuntsError('ERR_STATE', `this ingest is ${this.#state}`);
  }

  #refused(why: string): RuntsError {
    const { expected } = this.#parts;
    const what = expected === undefined ? 'the blob' : `the blob ${expected.digest}`;
    return new RuntsError('ERR_IMAGE', `cannot store ${what}: ${why}`, {
      hint: 'What was sent was damaged or altered, or was cut short; get it again.',
    });
  }
}

/** Removes what no process is writing any more: what has no digest at once, what can be gone on with after a while. */
export async function removePartials(
  place: Place,
  names: readonly string[],
  { before, known }: { readonly before: number; readonly known?: ReadonlySet<string> | undefined },
): Promise<number> {
  let bytes = 0;
  for (const name of names) {
    const path = join(place.ingest, name);
    if (name.startsWith('runts-image-')) {
      // Where an archive was unpacked: it goes at once, unless its process is killed just then.
      if ((await stat(path)).mtimeMs < before) await rm(path, { recursive: true, force: true });
      continue;
    }
    const locked = await tryLock(path, { create: false });
    if (locked === undefined) continue;
    const stats = await locked.file.stat();
    const isKnown = known?.has(name.replace('-', ':')) === true;
    if (isKnown || name.startsWith('new-') || stats.mtimeMs < before) {
      await unlink(path).catch(() => undefined);
      bytes += stats.size;
    }
    await locked.close();
  }
  return bytes;
}
