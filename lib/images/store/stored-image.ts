import { chooseByPlatform } from '../choose.ts';
import { type ConfigDocument, readConfig } from '../config.ts';
import { indexDepthMax } from '../limits.ts';
import { type Descriptor, type Manifest, readDocument } from '../manifest.ts';
import type { Platform } from '../source.ts';
import type { BlobId } from './ingest.ts';

/** A name of an image, and what it leads to: the manifest, or an index of manifests for platforms. */
export interface Named {
  readonly reference: string;
  readonly target: Descriptor;
}

/** An image in the store. */
export interface StoredImage {
  /** The digest of its configuration, as Docker has it. */
  readonly id: string;
  readonly names: readonly Named[];
  /** What leads to it, a name or not. */
  readonly targets: readonly Descriptor[];
  /** Of the manifest for the platform. */
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly document: ConfigDocument;
  /** Bytes of its layers and documents, as stored. */
  readonly size: number;
}

/** Reads a document of the store, verified. */
export type ReadDocument = (blob: BlobId) => Promise<Buffer>;
export type IsStored = (blob: BlobId) => Promise<boolean>;

/** An entry of the store's index on its way to an image. */
export interface Found {
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly document: ConfigDocument;
}

/** Follows a descriptor to the manifest of a platform: the one that was asked for, or ours, or the first that is here. */
export async function followTarget(
  target: Descriptor,
  read: ReadDocument,
  isStored: IsStored,
  wanted: { readonly platform: Platform; readonly strictly: boolean },
): Promise<Found> {
  let descriptor = target;
  for (let depth = 0; depth <= indexDepthMax; depth++) {
    const what = `the manifest ${descriptor.digest}`;
    const document = readDocument(await read(descriptor), descriptor.mediaType, what);
    if (document.kind === 'manifest') {
      const config = readConfig(await read(document.config));
      return { descriptor, manifest: document, document: config };
    }
    descriptor = await chooseStored(document.manifests, isStored, wanted);
  }
  throw new Error(`its indexes are more than ${indexDepthMax} deep`);
}

/** Of an image for several platforms often one alone is here. */
async function chooseStored(
  manifests: readonly Descriptor[],
  isStored: IsStored,
  { platform, strictly }: { readonly platform: Platform; readonly strictly: boolean },
): Promise<Descriptor> {
  const images = manifests.filter((each) => each.platform?.os !== 'unknown');
  const stored = await Promise.all(images.map(isStored));
  const here = images.filter((_, i) => stored[i]);
  try {
    return chooseByPlatform(here, platform);
  } catch (error) {
    const [first] = here;
    if (first === undefined || strictly) throw error;
    return first;
  }
}

/** Images of one configuration are one image, whatever leads to it. */
export function joinImages(
  found: readonly (Found & { readonly target: Descriptor; readonly reference: string | undefined })[],
) {
  const images = new Map<string, StoredImage>();
  for (const { reference, target, ...one } of found) {
    const id = one.manifest.config.digest;
    const before = images.get(id);
    const names = before?.names ?? [];
    const targets = before?.targets ?? [];
    images.set(id, {
      ...(before ?? { id, ...one, size: sizeOf(one) }),
      names: reference === undefined ? names : [...names, { reference, target }],
      targets: targets.some(({ digest }) => digest === target.digest) ? targets : [...targets, target],
    });
  }
  return [...images.values()];
}

const sizeOf = ({ descriptor, manifest }: Found): number =>
  descriptor.size + manifest.config.size + manifest.layers.reduce((sum, { size }) => sum + size, 0);
