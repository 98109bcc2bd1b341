import { open, writeFile } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import { recordOf } from './record-checks.ts';
import { readRecordText } from './record-file.ts';
import type { UnmadeDevice } from './unmade.ts';

/** An owner that could not be given to a file, for somebody inside the user namespace to give. */
export interface Ownership {
  /** Relative to the root file system; `''` is the root itself. */
  readonly path: string;
  readonly uid: number;
  readonly gid: number;
  /** Permission bits: a change of owner clears set-user-id and set-group-id, so they are to be set again after it. */
  readonly mode: number;
}

/** Something a layer has that was left out. */
export interface Skipped {
  readonly path: string;
  /** Index of the layer, from 0. */
  readonly layer: number;
  readonly what: 'character device' | 'block device' | 'fifo' | 'link to a skipped entry' | 'xattrs' | 'owner';
  /** With `xattrs`: their names. */
  readonly names?: readonly string[];
}

/** A layer that is unpacked: what its directory `<layers>/<name>` says of itself, in `layer.json`. */
export interface LayerFile {
  readonly version: 1;
  readonly chainId: string;
  /** Of the layers below it; undefined for the lowest. */
  readonly parent?: string | undefined;
  readonly diffId: string;
  /** As it is stored. */
  readonly digest: string;
  /** Bytes of the uncompressed archive. */
  readonly size: number;
  /** Directories that hide what lower layers have in them. */
  readonly opaque: readonly string[];
  /** Extended attributes of directories: an upper layer that only puts something into one has them too. Byte strings. */
  readonly attributes?: readonly (readonly [path: string, attributes: readonly (readonly [string, string])[]])[];
  /** Left out, since it could not be made here: the first thousand. */
  readonly skipped: readonly Skipped[];
  /** Of those, the devices, and other names of them: archives have them again. Undefined is none. */
  readonly devices?: readonly UnmadeDevice[] | undefined;
  /** Recorded, and not given: for a user with one id only. */
  readonly owners: readonly Ownership[];
}

export const layerFileName = 'layer.json';

/** It may name each file of a layer; more than a string can hold would be of no use. */
const layerFileBytesMax = 511 * 1024 * 1024;

/** Undefined where there is no such layer, what says so is damaged, or another version of runts has written it. */
export async function readLayerFile(directory: string): Promise<LayerFile | undefined> {
  const text = await readRecordText(`${directory}/${layerFileName}`, layerFileBytesMax);
  return recordOf('layer', text) as LayerFile | undefined;
}

/** A layer whose record is none is left to the user: a container that runs may be using it. */
export const damagedLayer = (path: string) =>
  new RuntsError(
    'ERR_STATE',
    `cannot use the layer at ${path}: its ${layerFileName} is damaged, or of another version`,
    {
      hint: `Remove ${path} while no container uses it; the layer is unpacked again when it is needed.`,
    },
  );

/** Before its directory gets its name, so that what has the name is whole. */
export async function writeLayerFile(directory: string, layer: LayerFile): Promise<void> {
  const file = await open(`${directory}/${layerFileName}`, 'wx', 0o600);
  try {
    await writeFile(file, textOf(layer));
    await file.sync();
  } finally {
    await file.close();
  }
}

const rowsAtOnce = 1024;

/** As JSON, in parts: as a whole it would take more memory than what it says. */
function* textOf(layer: LayerFile): Generator<string> {
  let before = '{';
  for (const [key, value] of Object.entries(layer)) {
    if (value === undefined) continue;
    yield `${before}${JSON.stringify(key)}:`;
    if (Array.isArray(value)) yield* listText(value);
    else yield JSON.stringify(value);
    before = ',';
  }
  yield '}';
}

function* listText(rows: readonly unknown[]): Generator<string> {
  yield '[';
  for (let at = 0; at < rows.length; at += rowsAtOnce) {
    const text = JSON.stringify(rows.slice(at, at + rowsAtOnce)).slice(1, -1);
    yield at === 0 ? text : `,${text}`;
  }
  yield ']';
}

/** Makes a change of names in a directory last over a power cut; where the file system can. */
export async function syncNames(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  await handle.sync().catch(() => undefined);
  await handle.close();
}
