import type { HistoryEntry } from './config.ts';
import { familiarName, familiarReference, parseReference, withDigest } from './reference.ts';
import type { StoredImage } from './store/store.ts';

/** What `docker image inspect` prints of an image, with its words. */
export interface Inspected {
  readonly Id: string;
  readonly RepoTags: readonly string[];
  readonly RepoDigests: readonly string[];
  readonly Parent: string;
  readonly Comment: string;
  readonly Created: string | null;
  readonly Author: string;
  readonly Config: unknown;
  readonly Architecture: string;
  readonly Variant?: string;
  readonly Os: string;
  /** Bytes of its layers and documents as stored. */
  readonly Size: number;
  readonly RootFS: { readonly Type: 'layers'; readonly Layers: readonly string[] };
  readonly Descriptor: { readonly mediaType: string; readonly digest: string; readonly size: number };
}

export function inspectImage(image: StoredImage): Inspected {
  const { id, descriptor, document, size } = image;
  const { raw, platform, diffIds, history } = document;
  const { os, architecture, variant } = platform;
  const { mediaType, digest } = descriptor;
  return {
    Id: id,
    RepoTags: repoTags(image),
    RepoDigests: repoDigests(image),
    Parent: '',
    Comment: history.at(-1)?.comment ?? '',
    Created: document.created ?? null,
    Author: typeof raw['author'] === 'string' ? raw['author'] : '',
    Config: raw['config'] ?? {},
    Architecture: architecture,
    ...(variant !== undefined && { Variant: variant }),
    Os: os,
    Size: size,
    RootFS: { Type: 'layers', Layers: diffIds },
    Descriptor: { mediaType, digest, size: descriptor.size },
  };
}

/** Names with a tag, as people write them: `debian:12`. */
export function repoTags({ names }: StoredImage): readonly string[] {
  const references = names.map(({ reference }) => parseReference(reference));
  return references.filter(({ tag, digest }) => tag !== undefined && digest === undefined).map(familiarReference);
}

/** Names by digest: `debian@sha256:…`. */
export function repoDigests({ names }: StoredImage): readonly string[] {
  const digests = names.map(({ reference, target }) =>
    familiarReference(withDigest(parseReference(reference), target.digest)),
  );
  return [...new Set(digests)];
}

/** The repositories that an image has names in. */
export function repositories({ names }: StoredImage): ReadonlySet<string> {
  return new Set(names.map(({ reference }) => familiarName(parseReference(reference))));
}

/** A step of how an image was made, the newest first. */
export interface HistoryStep {
  /** Of the newest step that is the image's; Docker calls the others missing. */
  readonly id: string | undefined;
  /** As its configuration has it. */
  readonly created: string | undefined;
  readonly createdBy: string;
  /** Bytes of its layer, as stored; 0 where it has none. */
  readonly size: number;
  readonly comment: string;
  /** It has no layer. */
  readonly isEmpty: boolean;
}

/** How an image was made. Layers that its history does not speak of are steps without words. */
export function historyOf({ id, document, manifest }: StoredImage): readonly HistoryStep[] {
  const layers = [...manifest.layers];
  const missing = layers.length - document.history.filter((each) => each.empty_layer !== true).length;
  const silent: HistoryEntry[] = Array.from({ length: Math.max(0, missing) }, () => ({}));
  const steps = [...document.history, ...silent].map((entry) => {
    const isEmpty = entry.empty_layer === true;
    const size = isEmpty ? 0 : (layers.shift()?.size ?? 0);
    const { created, created_by: createdBy = '', comment = '' } = entry;
    return { id: undefined, created, createdBy, size, comment, isEmpty };
  });
  return steps.reverse().map((step, i) => (i === 0 ? { ...step, id } : step));
}
