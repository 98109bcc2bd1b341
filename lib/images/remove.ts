import { RuntsError } from '../errors.ts';
import { type ImageUser, usersOf } from './in-use.ts';
import { repositories } from './inspect.ts';
import { familiarReference, parseReference, withDigest } from './reference.ts';
import type { ImageStore, Named, StoredImage } from './store/store.ts';

/** One thing that a removal did, as Docker tells it. */
export type Removed = { readonly untagged: string } | { readonly deleted: string };

export interface RemoveOptions {
  /** Also where a container uses it, and under all of its names. */
  readonly force?: boolean | undefined;
  readonly users: readonly ImageUser[];
}

/**
 * Takes a name from an image, and with the last one the image away, as Docker does: an id takes all names of one
 * repository. What other images or containers need stays.
 */
export async function removeImage(
  store: ImageStore,
  text: string,
  options: RemoveOptions,
): Promise<readonly Removed[]> {
  const image = await store.resolve(text).catch((error: unknown) => {
    if (RuntsError.is(error) && error.code === 'ERR_IMAGE') return undefined;
    throw error;
  });
  if (image === undefined) return removeDamaged(store, text);
  const name = nameOf(text, image);
  const parts = await store.partsOf(image.targets);
  if (name !== undefined && image.names.length > 1) {
    await store.untag(name.reference);
    return [...untagged([name]), ...(await sweep(store, image, parts, options))];
  }
  mustBeFree(text, image, name, options);
  await store.drop(image.targets);
  const blobs = await sweep(store, image, parts, options);
  const isGone = blobs.some((each) => 'deleted' in each && each.deleted === image.id);
  return [...untagged(image.names), ...(isGone ? [] : [{ deleted: image.id }]), ...blobs];
}

/** The name that was meant; undefined where an id was. */
function nameOf(text: string, { id, names }: StoredImage): Named | undefined {
  if (id.startsWith(text) || id.slice(id.indexOf(':') + 1).startsWith(text)) return undefined;
  try {
    const wanted = parseReference(text);
    return names.find(({ reference }) => familiarReference(parseReference(reference)) === familiarReference(wanted));
  } catch {
    return undefined;
  }
}

function mustBeFree(text: string, image: StoredImage, name: Named | undefined, { force, users }: RemoveOptions): void {
  if (force === true) return;
  const short = image.id.slice(7, 19);
  const [container] = usersOf(image, users);
  if (container !== undefined) {
    const what = name === undefined ? `delete ${short}` : `remove the reference "${text}"`;
    throw new RuntsError(
      'ERR_STATE',
      `conflict: unable to ${what} (must be forced): container ${container.slice(0, 12)} uses it`,
      {
        hint: 'Remove the container first, or use --force: the container keeps what it has.',
      },
    );
  }
  if (name === undefined && repositories(image).size > 1) {
    throw new RuntsError(
      'ERR_STATE',
      `conflict: unable to delete ${short} (must be forced): it has names in several repositories`,
      { hint: `They are ${[...repositories(image)].join(', ')}. Remove it by its names, or use --force.` },
    );
  }
}

/** A name can be taken from what cannot be read. */
async function removeDamaged(store: ImageStore, text: string): Promise<readonly Removed[]> {
  const { damaged } = await store.survey();
  const isMeant = ({ reference, target }: (typeof damaged)[number]) =>
    target.digest === text || (reference !== undefined && isSame(reference, text));
  const found = damaged.find(isMeant);
  if (found === undefined) throw noSuchImage(text);
  if (found.reference === undefined) await store.drop([found.target]);
  else await store.untag(found.reference);
  return [{ untagged: found.reference === undefined ? found.target.digest : found.reference }];
}

function isSame(reference: string, text: string): boolean {
  try {
    return familiarReference(parseReference(text)) === familiarReference(parseReference(reference));
  } catch {
    return false;
  }
}

export function noSuchImage(text: string): RuntsError {
  return new RuntsError('ERR_NOT_FOUND', `No such image: ${text}`, {
    hint: '`runts images` lists those that are here.',
  });
}

/** What it tells of names that are gone. */
export function untagged(names: readonly Named[]): Removed[] {
  const lines = names.flatMap(({ reference, target }) => {
    const parsed = parseReference(reference);
    return [familiarReference(parsed), familiarReference(withDigest(parsed, target.digest))];
  });
  return [...new Set(lines)].map((line) => ({ untagged: line }));
}

/** The blobs of images that have gone, unless something else needs them: the image itself first. */
async function sweep(
  store: ImageStore,
  image: StoredImage,
  blobs: ReadonlySet<string>,
  { users }: RemoveOptions,
): Promise<Removed[]> {
  const { removed } = await store.collect({ removed: blobs, inUse: users.map((user) => user.image) });
  const ordered = [...removed].sort((a, b) => Number(b === image.id) - Number(a === image.id));
  return ordered.map((deleted) => ({ deleted }));
}
