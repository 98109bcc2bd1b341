import { type Packed, packEntries } from './tar-pack.ts';
import type { TreeEntry, TreeReader } from './tree-reader.ts';

/** What is copied: names are byte strings. */
export interface CopyOut {
  /** What the archive begins with; undefined for everything that the reader has, without a name above it. */
  readonly top: TreeEntry | undefined;
  /** Directories that are taken without what is in them, as absolute paths of the reader's root: file systems of the kernel. */
  readonly isEmpty: (path: string) => boolean;
}

/** A tar archive of a part of a tree, as it is now. */
export function copyOut(reader: TreeReader, { top, isEmpty }: CopyOut): AsyncGenerator<Buffer, void, undefined> {
  async function* below(path: string): AsyncGenerator<Packed, void, undefined> {
    for (const entry of await reader.list(path)) yield* all(path === '' ? entry.name : `${path}/${entry.name}`, entry);
  }
  async function* all(path: string, entry: TreeEntry): AsyncGenerator<Packed, void, undefined> {
    yield { what: { kind: 'entry', path, entry, replaces: false }, at: path, tree: '' };
    if (entry.type === 'directory' && !isEmpty(path)) yield* below(path);
  }
  return packEntries(reader, top === undefined ? below('') : all(top.name, top));
}
