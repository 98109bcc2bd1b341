import { RuntsError } from '../../errors.ts';
import type { GoesWith } from '../../host/lifetime.ts';
import { namesOf } from '../choose.ts';
import { array, type JsonObject, object, optional, parseJson } from '../json.ts';
import { documentBytesMax, manifestsMax } from '../limits.ts';
import { type Descriptor, readDocument } from '../manifest.ts';
import { parseReference, showReference } from '../reference.ts';
import { type Place, replaceFile } from './place.ts';
import { readWhole } from './read.ts';
import { isFull, replaceBySetAside, setAside } from './reserve.ts';

export const indexType = 'application/vnd.oci.image.index.v1+json';
const nameKey = 'org.opencontainers.image.ref.name';
/** The ids of ephemeral runtimes, with commas. */
const goesWithKey = 'runts.goes-with';

/** One entry of index.json: what a reference means, or an image that has none. */
export interface IndexEntry {
  /** In full, `docker.io/library/debian:12`; undefined for an image without a name. */
  readonly reference: string | undefined;
  readonly descriptor: Descriptor;
  readonly goesWith: GoesWith;
  /** As it stands in the file: what other tools have noted there stays. */
  readonly raw: JsonObject;
}

export interface StoreIndex {
  readonly entries: readonly IndexEntry[];
  readonly raw: JsonObject;
}

const empty: StoreIndex = { entries: [], raw: { schemaVersion: 2, mediaType: indexType, manifests: [] } };

/** Reads index.json, strictly: it may be somebody else's who wrote it. */
export async function readIndex(place: Place): Promise<StoreIndex> {
  const bytes = await readWhole(place.index, documentBytesMax);
  if (bytes === undefined) return empty;
  try {
    const what = '"index.json"';
    const document = readDocument(bytes, indexType, what);
    if (document.kind !== 'index') throw new Error('it is not an index');
    const raw = object(parseJson(bytes, what), what);
    const items = optional(raw['manifests'], what, (value) => array(value, what, manifestsMax)) ?? [];
    const entries = document.manifests.map((descriptor, i) => ({
      reference: referenceOf(descriptor),
      descriptor: { ...descriptor, annotations: withoutOurs(descriptor) },
      goesWith: goesWithOf(descriptor),
      raw: items[i] as JsonObject,
    }));
    return { entries: entries.map(withoutLost), raw };
  } catch (error) {
    throw new RuntsError('ERR_IMAGE', `cannot read ${place.index}: ${(error as Error).message}`, {
      hint: 'Something else has written to it. `skopeo inspect oci:DIRECTORY:NAME` may say more; move it away to start anew.',
      cause: error,
    });
  }
}

/** Of entries with one name, a short and a whole one perhaps, the last was written last: the others have lost it. */
function withoutLost(entry: IndexEntry, index: number, all: readonly IndexEntry[]): IndexEntry {
  const isLost = entry.reference !== undefined && all.slice(index + 1).some((e) => e.reference === entry.reference);
  return isLost ? makeEntry(undefined, entry.descriptor, entry.goesWith) : entry;
}

/** Writes index.json; to be called with the store's lock held. */
export async function writeIndex(place: Place, before: StoreIndex, entries: readonly IndexEntry[]): Promise<void> {
  const { raw } = before;
  const manifests = entries.map((entry) => entry.raw);
  if (manifests.length > manifestsMax) {
    throw new RuntsError('ERR_SETUP', `the image store can have ${manifestsMax} references, and would have more`, {
      hint: 'Remove those that are not needed any more: `runts rmi`.',
    });
  }
  const content = `${JSON.stringify({ ...raw, manifests })}\n`;
  try {
    await replaceFile(place.index, content);
  } catch (error) {
    // What is set aside is for removals: one that adds something would only put off the end.
    if (!isFull(error) || entries.length >= before.entries.length) throw error;
    await replaceBySetAside(place.index, content, place.reserve).catch(() => {
      throw error;
    });
  }
  await setAside(place.reserve, Buffer.byteLength(content));
}

/** An entry as it is to stand in the file. */
export function makeEntry(reference: string | undefined, descriptor: Descriptor, goesWith: GoesWith): IndexEntry {
  const { mediaType, digest, size, platform } = descriptor;
  const noted = {
    ...withoutOurs(descriptor),
    ...(reference !== undefined && { [nameKey]: reference }),
    ...(goesWith !== undefined && { [goesWithKey]: goesWith.join() }),
  };
  return {
    reference,
    descriptor,
    goesWith,
    raw: {
      mediaType,
      digest,
      size,
      ...(Object.keys(noted).length > 0 && { annotations: noted }),
      ...(platform !== undefined && { platform }),
    },
  };
}

const ourKeys = ['io.containerd.image.name', nameKey, goesWithKey];

const withoutOurs = ({ annotations }: Descriptor) =>
  Object.fromEntries(Object.entries(annotations).filter(([key]) => !ourKeys.includes(key)));

function goesWithOf({ annotations }: Descriptor): GoesWith {
  const ids = Object.hasOwn(annotations, goesWithKey) ? annotations[goesWithKey] : undefined;
  return typeof ids === 'string' && ids !== '' ? ids.split(',') : undefined;
}

/** What others wrote there may be short: `debian:12`; or no reference at all, and then it is no name. */
function referenceOf(descriptor: Descriptor): string | undefined {
  const [name] = namesOf(descriptor);
  if (name === undefined) return undefined;
  try {
    return showReference(parseReference(name));
  } catch {
    return undefined;
  }
}
