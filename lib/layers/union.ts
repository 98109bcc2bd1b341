import type { LayerFile } from './layer-file.ts';
import type { TreeEntry, TreeReader } from './tree-reader.ts';

/** A directory of a layer, relative to that of all data, and the owners that were recorded for what is in it, by path. */
export interface LayerPlace {
  readonly path: string;
  readonly owners?: ReadonlyMap<string, Owner> | undefined;
  /** Devices that could not be made there, by the directory that they would be in. */
  readonly devices?: ReadonlyMap<string, readonly TreeEntry[]> | undefined;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The owner that is recorded of what has this name; what was said of it last counts. */
export function recordedOwner({ owners }: Pick<LayerFile, 'owners'>, name: string): Owner | undefined {
  const found = owners.filter(({ path }) => path === name).pop();
  return found && { uid: found.uid, gid: found.gid };
}

/** What layers show under a name. */
export interface UnionEntry {
  readonly entry: TreeEntry;
  /** The uppermost that has it; of a directory all that take part in it, that one first. */
  readonly layers: readonly LayerPlace[];
}

/** Where something of a layer is, relative to the directory of all data. */
export const placeOf = ({ path }: LayerPlace, name: string): string => (name === '' ? path : `${path}/${name}`);

/** Overlayfs's mark for what is not there: a character device 0:0, or where these cannot be made, an attribute. */
export function isWhiteout({ type, major, minor, size, xattrs }: TreeEntry): boolean {
  if (type === 'character') return major === 0 && minor === 0;
  return type === 'file' && size === 0 && xattrs.has('user.overlay.whiteout');
}

export const isOpaque = ({ xattrs }: TreeEntry): boolean => xattrs.get('user.overlay.opaque') === 'y';

/** What a directory shows that is made of those of several layers, the uppermost first: as a union mount would. */
export async function listUnion(
  reader: Pick<TreeReader, 'list'>,
  directory: string,
  layers: readonly LayerPlace[],
): Promise<Map<string, UnionEntry>> {
  const shown = new Map<string, { entry: TreeEntry; layers: LayerPlace[]; closed: boolean } | undefined>();
  for (const layer of layers) {
    for (const entry of await listLayer(reader, directory, layer)) {
      const above = shown.get(entry.name);
      if (above !== undefined) {
        if (above.closed) continue;
        if (entry.type === 'directory') above.layers.push(layer);
        above.closed = entry.type !== 'directory' || isOpaque(entry);
      } else if (!shown.has(entry.name)) {
        const closed = entry.type !== 'directory' || isOpaque(entry);
        shown.set(entry.name, isWhiteout(entry) ? undefined : { entry, layers: [layer], closed });
      }
    }
  }
  const found = new Map<string, UnionEntry>();
  for (const name of [...shown.keys()].sort()) {
    const each = shown.get(name);
    if (each !== undefined) found.set(name, each);
  }
  return found;
}

/** What a layer has in a directory: what stands there, and the devices that do not, but where the name was taken since. */
async function listLayer(
  reader: Pick<TreeReader, 'list'>,
  directory: string,
  layer: LayerPlace,
): Promise<readonly TreeEntry[]> {
  const found = await reader.list(placeOf(layer, directory));
  const devices = layer.devices?.get(directory);
  if (devices === undefined) return found;
  const names = new Set(devices.map(({ name }) => name));
  // Its own whiteout hides lower layers for it.
  const standing = found.filter((entry) => !(names.has(entry.name) && isWhiteout(entry)));
  for (const { name } of standing) names.delete(name);
  return [...standing, ...devices.filter(({ name }) => names.has(name))];
}
