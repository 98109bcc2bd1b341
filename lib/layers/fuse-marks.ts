import type { TreeLister } from './differences.ts';
import type { TreeEntry } from './tree-reader.ts';

const prefix = '.wh.';

/**
 * Directories that fuse-overlayfs has written to, as the kernel would have left it: what is not there may be told by the name
 * `.wh.NAME`, which no container can give to anything, and an opaque directory has files of such names in it, beside an
 * attribute that says the same.
 */
export function asOverlay(reader: TreeLister, trees: readonly string[]): TreeLister {
  return {
    async list(path) {
      const entries = await reader.list(path);
      const isOwn = trees.some((tree) => path === tree || path.startsWith(`${tree}/`));
      return isOwn ? translated(entries) : entries;
    },
  };
}

function translated(entries: readonly TreeEntry[]): TreeEntry[] {
  const found = entries.filter(({ name }) => !name.startsWith(prefix)).map(opaque);
  const names = new Set(found.map(({ name }) => name));
  for (const entry of entries) {
    const name = entry.name.slice(prefix.length);
    if (!entry.name.startsWith(prefix) || name.startsWith(prefix) || name === '.opq' || names.has(name)) continue;
    found.push({ ...entry, name, type: 'character', major: 0, minor: 0 });
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function opaque(entry: TreeEntry): TreeEntry {
  if (entry.type !== 'directory' || entry.xattrs.get('user.fuseoverlayfs.opaque') !== 'y') return entry;
  return { ...entry, xattrs: new Map([...entry.xattrs, ['user.overlay.opaque', 'y']]) };
}
