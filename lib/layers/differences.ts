import type { TreeEntry, TreeReader } from './tree-reader.ts';
import type { Owner } from './union.ts';
import { placeOf } from './union.ts';

/** Who tells what is in a directory, relative to that of all data. */
export type TreeLister = Pick<TreeReader, 'list'>;

/** What a container's tree has that is not as in its image. Paths are byte strings, relative to the root file system. */
export type Difference =
  | {
      readonly kind: 'entry';
      readonly path: string;
      readonly entry: TreeEntry;
      /** The image has something under this name. */
      readonly replaces: boolean;
      /** What the image says of its owner, where owners are not given. */
      readonly owner?: Owner | undefined;
    }
  | { readonly kind: 'removed'; readonly path: string }
  /** Nothing of what the image has in the directory is seen any more; of that, these names are gone. */
  | { readonly kind: 'opaque'; readonly path: string; readonly gone: readonly string[] };

/** What an image has under a name. */
export interface Before {
  readonly isDirectory: boolean;
  readonly owner?: Owner | undefined;
  /** Told for directories by what they are but for their times, for others by all there is. */
  isSame(entry: TreeEntry): boolean;
  /** With `isSame`, of a directory: nothing was made or removed in it. */
  isUntouched(entry: TreeEntry): boolean;
  /** For asking what is in it. */
  readonly key: unknown;
}

/** What an image has, and how to tell what a container has done to it. */
export interface Base {
  /** Asked for directories in the order in which they are walked through. */
  list(path: string, key: unknown): Promise<ReadonlyMap<string, Before>>;
  /** What the container has taken away is marked; else what is not there is taken away. */
  readonly marks: { isWhiteout(entry: TreeEntry): boolean; isOpaque(entry: TreeEntry): boolean } | undefined;
}

export interface WalkOptions {
  /** Where the tree is, relative to the directory of all data. */
  readonly place: string;
  /** Of what the container's mounts are on: what is only there for them is no change. Relative, byte strings. */
  readonly mountPoints: ReadonlySet<string>;
}

interface Directory {
  readonly path: string;
  readonly above: Directory | undefined;
  /** What is to be told once there is something in it. */
  told: Difference | undefined;
  readonly before: Before | undefined;
  readonly isOpaque: boolean;
}

const none: ReadonlyMap<string, Before> = new Map();

/**
 * Goes through a container's tree and tells what is other than in its image: what is in a directory by the order of names, and
 * after it what is in the directories there. One directory is held in memory at a time.
 */
export async function* differences(
  reader: TreeLister,
  base: Base,
  { place, mountPoints }: WalkOptions,
): AsyncGenerator<Difference, void, undefined> {
  const onTheWay = parentsOf(mountPoints);
  const root: Before = { isDirectory: true, isSame: () => true, isUntouched: () => true, key: undefined };
  const pending: Directory[] = [{ path: '', above: undefined, told: undefined, before: root, isOpaque: false }];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const found = await inDirectory(reader, base, place, directory);
    const inner: Directory[] = [];
    const told: Difference[] = [...found.removed];
    for (const { path, entry, before } of found.entries) {
      const difference = { kind: 'entry', path, entry, replaces: before !== undefined, owner: before?.owner } as const;
      if (entry.type === 'directory') {
        const isLazy = before?.isDirectory
          ? before.isSame(entry) && (before.isUntouched(entry) || onTheWay.has(path))
          : before === undefined && onTheWay.has(path);
        const isMarked = base.marks?.isOpaque(entry) === true;
        const inside = { path, above: directory, before, isOpaque: isMarked, told: isLazy ? difference : undefined };
        inner.push(inside);
        if (!isLazy) told.push(difference);
      } else if (!(before === undefined && entry.size === 0 && mountPoints.has(path)) && !before?.isSame(entry)) {
        told.push(difference);
      }
    }
    if (told.length > 0) {
      yield* lazily(directory);
      yield* told;
    }
    pending.push(...inner.reverse());
  }
}

interface Seen {
  readonly path: string;
  readonly entry: TreeEntry;
  readonly before: Before | undefined;
}

async function inDirectory(
  reader: TreeLister,
  base: Base,
  place: string,
  { path: directory, before: itself, isOpaque }: Directory,
): Promise<{ readonly removed: Difference[]; readonly entries: Seen[] }> {
  const below = itself?.isDirectory ? await base.list(directory, itself.key) : none;
  const removed: Difference[] = [];
  const entries: Seen[] = [];
  const names = new Set<string>();
  for (const entry of await reader.list(placeOf({ path: place }, directory))) {
    const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
    const before = below.get(entry.name);
    if (base.marks?.isWhiteout(entry)) {
      if (before !== undefined) removed.push({ kind: 'removed', path });
    } else {
      entries.push({ path, entry, before });
    }
    names.add(entry.name);
  }
  const gone = [...below.keys()].filter((name) => !names.has(name));
  const at = (name: string) => (directory === '' ? name : `${directory}/${name}`);
  if (base.marks === undefined) removed.push(...gone.map((name) => ({ kind: 'removed', path: at(name) }) as const));
  else if (isOpaque && below.size > 0) removed.unshift({ kind: 'opaque', path: directory, gone });
  return { removed, entries };
}

/** Directories that are as they were are told of when something in them is not. */
function* lazily(directory: Directory): Generator<Difference, void, undefined> {
  const above: Difference[] = [];
  for (let at: Directory | undefined = directory; at !== undefined; at = at.above) {
    if (at.told !== undefined) above.push(at.told);
    at.told = undefined;
  }
  yield* above.reverse();
}

/** The paths themselves, and all directories that they are in. */
function parentsOf(paths: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set(paths);
  for (const path of paths) {
    const components = path.split('/');
    for (let i = 1; i < components.length; i++) found.add(components.slice(0, i).join('/'));
  }
  return found;
}
