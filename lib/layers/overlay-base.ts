import type { Base, Before, TreeLister } from './differences.ts';
import type { TreeEntry } from './tree-reader.ts';
import { isOpaque, isWhiteout, type LayerPlace, listUnion, type UnionEntry } from './union.ts';
import { keptAttributes } from './xattrs.ts';

/** An image below a union mount: its layers, the uppermost first. What the mount has put into the upper directory is marked. */
export function overlayBase(reader: TreeLister, layers: readonly LayerPlace[]): Base {
  return {
    marks: { isWhiteout, isOpaque },
    async list(path, key) {
      const found = await listUnion(reader, path, (key as readonly LayerPlace[] | undefined) ?? layers);
      return new Map([...found].map(([name, each]) => [name, before(each, path === '' ? name : `${path}/${name}`)]));
    },
  };
}

function before({ entry, layers }: UnionEntry, path: string): Before {
  const isDirectory = entry.type === 'directory';
  return {
    isDirectory,
    owner: layers[0]?.owners?.get(path),
    // What stands in the upper directory was written, or at least copied there to be.
    isSame: (other) => isDirectory && sameAttributes(entry, other),
    isUntouched: () => false,
    key: layers,
  };
}

function sameAttributes(a: TreeEntry, b: TreeEntry): boolean {
  if (a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid) return false;
  const [mine, theirs] = [keptAttributes(a.xattrs), keptAttributes(b.xattrs)];
  return mine.size === theirs.size && [...mine].every(([name, value]) => theirs.get(name) === value);
}
