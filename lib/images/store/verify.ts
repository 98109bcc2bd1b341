import { stat } from 'node:fs/promises';
import { FileChunks } from '../../layers/file-chunks.ts';
import { isShortage } from '../../layers/shortage.ts';
import { checkDigest, digestOfStream } from '../digest.ts';
import { documentBytesMax } from '../limits.ts';
import { type Descriptor, readDocument } from '../manifest.ts';
import { storedDigests } from './collect.ts';
import type { IndexEntry } from './index-file.ts';
import type { Place } from './place.ts';
import { readWhole } from './read.ts';

export interface Problem {
  /** Of the blob. */
  readonly digest: string;
  readonly problem: string;
}

/** What a store was found to be when all of it was read. */
export interface Verified {
  /** How many were read. */
  readonly blobs: number;
  /** How much was read. */
  readonly bytes: number;
  /** Blobs that are here and are not what their name says. */
  readonly damaged: readonly Problem[];
  /** Blobs that an image needs and that are not here; the images of other platforms need not be here at all. */
  readonly missing: readonly Problem[];
}

export async function verifyBlobs(place: Place, entries: readonly IndexEntry[]): Promise<Verified> {
  const damaged: Problem[] = [];
  let bytes = 0;
  const digests = await storedDigests(place);
  for (const digest of digests) {
    const file = new FileChunks(place.blob(digest));
    const found = await digestOfStream(file, digest);
    bytes += file.bytesRead;
    if (found !== digest) damaged.push({ digest, problem: `its content is ${found}` });
  }
  const bad = new Set(damaged.map(({ digest }) => digest));
  const missing = new Map<string, Problem>();
  const seen = new Set<string>();
  const queue = entries.map(({ descriptor }) => ({ descriptor, optional: false }));
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const { descriptor, optional } = next;
    if (bad.has(descriptor.digest) || seen.has(descriptor.digest)) continue;
    seen.add(descriptor.digest);
    const problem = await lacks(place, descriptor);
    if (problem !== undefined && !optional) missing.set(descriptor.digest, { digest: descriptor.digest, problem });
    if (problem === undefined) queue.push(...(await children(place, descriptor)));
  }
  return { blobs: digests.length, bytes, damaged, missing: [...missing.values()] };
}

async function lacks(place: Place, { digest, size }: Descriptor): Promise<string | undefined> {
  const stats = await stat(place.blob(checkDigest(digest, 'a digest'))).catch((error) => {
    if (isShortage(error)) throw error;
    return undefined;
  });
  if (stats === undefined) return 'it is not here';
  return stats.size === size ? undefined : `it has ${stats.size} bytes, and should have ${size}`;
}

/** What a document needs; nothing where it is no manifest, or one of a kind that is unknown here. */
async function children(place: Place, { digest, mediaType }: Descriptor) {
  try {
    const bytes = await readWhole(place.blob(digest), documentBytesMax);
    if (bytes === undefined) return [];
    const document = readDocument(bytes, mediaType, digest);
    if (document.kind === 'index') return document.manifests.map((descriptor) => ({ descriptor, optional: true }));
    return [document.config, ...document.layers].map((descriptor) => ({ descriptor, optional: false }));
  } catch (error) {
    if (isShortage(error)) throw error;
    return [];
  }
}
