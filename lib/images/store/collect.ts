import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { RuntsError } from '../../errors.ts';
import { isShortage } from '../../layers/shortage.ts';
import { checkDigest } from '../digest.ts';
import { parseJson } from '../json.ts';
import { documentBytesMax } from '../limits.ts';
import type { IndexEntry } from './index-file.ts';
import { removePartials } from './ingest.ts';
import { oldestLease } from './lease.ts';
import type { Place } from './place.ts';
import { readWhole } from './read.ts';

export interface CollectOptions {
  /** Digests of manifests that are in use although no reference leads to them: those of containers. */
  readonly inUse?: Iterable<string> | undefined;
  /** Blobs, whole or not, that are known to have been of an image that was removed: they need not be of any age. */
  readonly removed?: ReadonlySet<string> | undefined;
  /**
   * Blobs that nothing refers to stay while they are younger: another tool may be writing its image, without a lease.
   * Default an hour.
   */
  readonly graceMs?: number | undefined;
  /** Parts of blobs, which a pull could go on with, stay as long. Default a day. */
  readonly partialMs?: number | undefined;
}

export interface Collected {
  /** Digests of the blobs that are gone. */
  readonly removed: readonly string[];
  readonly bytes: number;
}

const hourMs = 3600_000;

/** Removes what nothing leads to. To be called with the store's lock held. */
export async function collectBlobs(
  place: Place,
  entries: readonly IndexEntry[],
  now: number,
  options: CollectOptions,
): Promise<Collected> {
  const { inUse = [], graceMs = hourMs, partialMs = 24 * hourMs, removed: known } = options;
  const marked = await reachable(
    place,
    entries.map(({ descriptor }) => descriptor.digest),
  );
  for (const digest of await reachable(place, inUse)) marked.add(digest);
  const leased = (await oldestLease(place)) ?? Number.POSITIVE_INFINITY;
  const removed: string[] = [];
  let bytes = await removePartials(place, await readdir(place.ingest), { before: now - partialMs, known });
  for (const digest of await storedDigests(place)) {
    if (marked.has(digest)) continue;
    const path = place.blob(digest);
    const stats = await stat(path);
    const isOld = known?.has(digest) === true || stats.mtimeMs <= now - graceMs;
    // Rounded: a time is a little less when it is read than when it was set.
    if (!isOld || Math.round(stats.mtimeMs) >= leased) continue;
    await unlink(path);
    removed.push(digest);
    bytes += stats.size;
  }
  return { removed, bytes };
}

/** Every digest of a blob that is stored. */
export async function storedDigests(place: Place): Promise<string[]> {
  const found: string[] = [];
  for (const algorithm of await readdir(place.blobs)) {
    const names = await readdir(join(place.blobs, algorithm)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR') return [];
      throw error;
    });
    for (const name of names) {
      const digest = `${algorithm}:${name}`;
      if (isDigest(digest)) found.push(digest);
    }
  }
  return found;
}

/**
 * What these documents lead to, and they themselves; what is not stored leads nowhere.
 *
 * Documents of every kind are followed, of artifacts too, by the keys that all of them have. One that is damaged is an
 * error: what it leads to cannot be told from what nobody needs; unless it goes itself, and is passed over.
 */
export async function reachable(
  place: Place,
  from: Iterable<string>,
  damaged: 'refused' | 'passed over' = 'refused',
): Promise<Set<string>> {
  const seen = new Set<string>();
  const queue = [...from];
  for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
    if (seen.has(digest)) continue;
    seen.add(digest);
    const { documents, blobs } = await childrenOf(place, digest).catch((error: unknown) => {
      if (damaged === 'refused' || isShortage(error)) throw error;
      return { documents: [], blobs: [] };
    });
    for (const blob of blobs) seen.add(blob);
    queue.push(...documents);
  }
  return seen;
}

async function childrenOf(place: Place, digest: string): Promise<{ documents: string[]; blobs: string[] }> {
  const bytes = await readWhole(place.blob(checkDigest(digest, 'a digest')), documentBytesMax).catch(
    cannotFollow(digest),
  );
  if (bytes === undefined) return { documents: [], blobs: [] };
  try {
    const document = parseJson(bytes, `the manifest ${digest}`);
    const blobs = ['config', 'subject', 'layers', 'blobs'].flatMap((key) => digestsAt(document, key));
    return { documents: [...digestsAt(document, 'manifests'), ...digestsAt(document, 'subject')], blobs };
  } catch (error) {
    return cannotFollow(digest)(error);
  }
}

const cannotFollow = (digest: string) => (error: unknown) => {
  throw new RuntsError(
    'ERR_IMAGE',
    `nothing is removed: the manifest ${digest} cannot be read, nor what it needs be told: ${(error as Error).message}`,
    {
      hint: 'Pull its image again, or remove it: `runts rmi`.',
      cause: error,
    },
  );
};

function digestsAt(document: unknown, key: string): string[] {
  const value = at(document, key);
  return (Array.isArray(value) ? value : [value]).map((item) => at(item, 'digest')).filter(isDigest);
}

const at = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;

function isDigest(value: unknown): value is string {
  try {
    checkDigest(value, '');
    return true;
  } catch {
    return false;
  }
}
