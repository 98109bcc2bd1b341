import { RuntsError } from '../../errors.ts';
import type { Descriptor } from '../manifest.ts';
import { parseReference, type Reference, showReference } from '../reference.ts';
import type { IndexEntry } from './index-file.ts';
import type { StoredImage } from './stored-image.ts';

export interface FoundImage {
  /** The name that it was found by; undefined where it was another. */
  readonly reference: string | undefined;
  readonly target: Descriptor;
  /** Undefined where what the name leads to cannot be read. */
  readonly image: StoredImage | undefined;
}

/** Looks for an image as Docker does: a name first, then an id, then the beginning of an id. */
export function findImage(
  text: string,
  entries: readonly IndexEntry[],
  images: readonly StoredImage[],
): FoundImage | undefined {
  const entry = named(text, entries);
  if (entry !== undefined) {
    const { reference, descriptor: target } = entry;
    const image = images.find(({ targets }) => targets.some(({ digest }) => digest === target.digest));
    return { reference, target, image };
  }
  const image = byId(text, images);
  return image === undefined ? undefined : { reference: undefined, target: image.targets[0]!, image };
}

function named(text: string, entries: readonly IndexEntry[]): IndexEntry | undefined {
  const wanted = reference(text);
  if (wanted === undefined) return undefined;
  const exactly = entries.find((each) => each.reference === showReference(wanted));
  if (exactly !== undefined || wanted.digest === undefined) return exactly;
  // With a digest the tag says nothing: any name of that repository that leads there will do.
  return entries.find(({ reference: name, descriptor }) => {
    const of = name === undefined ? undefined : reference(name);
    return descriptor.digest === wanted.digest && of?.domain === wanted.domain && of.path === wanted.path;
  });
}

function reference(text: string): Reference | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}

function byId(text: string, images: readonly StoredImage[]): StoredImage | undefined {
  const [, algorithm, hex] = /^(?:(sha256|sha512):)?([0-9a-f]{1,128})$/.exec(text) ?? [];
  if (hex === undefined) return undefined;
  const isMeant = (digest: string) => digest.startsWith(`${algorithm ?? digest.slice(0, digest.indexOf(':'))}:${hex}`);
  const found = images.filter(({ id, descriptor, targets }) =>
    [id, descriptor.digest, ...targets.map(({ digest }) => digest)].some(isMeant),
  );
  if (found.length < 2) return found[0];
  throw new RuntsError('ERR_NOT_FOUND', `the id ${text} is the beginning of ${found.length} images' ids`, {
    hint: `Give more of it: ${found
      .slice(0, 5)
      .map(({ id }) => id.slice(0, 26))
      .join(', ')}.`,
  });
}
