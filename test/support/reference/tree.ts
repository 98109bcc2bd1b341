import fs, { constants } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { RuntsError } from '../../../lib/errors.ts';
import { checkPlace, showName } from '../../../lib/layers/entry-name.ts';
import { symlinksMax } from '../../../lib/layers/limits.ts';
import type { Pace } from '../../../lib/layers/pace.ts';
import { Refused } from '../../../lib/layers/refused.ts';

const oPath = 0o10000000;
const openDirectoryFlags = oPath | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** Descriptors kept open at most: more than one image has directories deep, fewer than any process may have. */
const descriptorsMax = 128;
const resolvedMax = 4096;

/** Where something is or will be: a name in a directory that is held open, which is good until the tree changes. */
export interface Place {
  /** Path for one system call: the directory's descriptor, and the name. */
  readonly at: string | Buffer;
  /** The directory's real path below the root, without symbolic links; a byte string, `''` for the root. */
  readonly parent: string;
  /** The real path of the place. */
  readonly path: string;
}

export type Kind = 'directory' | 'symlink' | 'file' | 'other';

interface Directory {
  readonly fd: number;
  readonly path: string;
}

/**
 * A directory tree that hostile names cannot leave.
 *
 * Node has no openat(2), but `/proc/self/fd/N/name` with O_NOFOLLOW is the same: the kernel goes straight to the
 * directory that the descriptor holds, and one component is left. Symbolic links on the way are read here and followed
 * inside the root, as chroot(2) would. The tree is ours alone while it is filled (it stands in a directory of mode
 * 0700), so nobody exchanges a directory between two calls.
 */
export class Tree {
  readonly #root: Directory;
  /** By real path, least recently used first. */
  readonly #open = new Map<string, number>();
  /** Real paths of directories that were asked for by way of symbolic links. */
  readonly #resolved = new Map<string, string>();
  readonly #made: (path: string) => void;

  private constructor(fd: number, made: (path: string) => void) {
    this.#root = { fd, path: '' };
    this.#made = made;
  }

  /** Opens the tree at `path`; `made` hears of each directory that had to be made for the sake of what is in it. */
  static open(path: string, made: (path: string) => void): Tree {
    const fd = fs.openSync(path, openDirectoryFlags);
    if (!fs.existsSync(`/proc/self/fd/${fd}/.`)) {
      fs.closeSync(fd);
      const hint = 'Mount a proc file system on /proc.';
      throw new RuntsError('ERR_UNSUPPORTED', `cannot unpack to ${path}: /proc/self/fd does not work here`, { hint });
    }
    return new Tree(fd, made);
  }

  close(): void {
    this.#forget();
    fs.closeSync(this.#root.fd);
  }

  /** The place of a name, following symbolic links in all of it but its last component. */
  place(components: readonly string[], options: { readonly create: true }): Place;
  place(components: readonly string[]): Place | undefined;
  place(components: readonly string[], { create = false } = {}): Place | undefined {
    const directory = this.#resolve(components.slice(0, -1), create);
    if (directory === undefined) return undefined;
    return placeIn(directory, components.at(-1)!);
  }

  /** A path for system calls on the directory itself; `path` is a real path. */
  directory(path: string): string {
    return `/proc/self/fd/${this.#physical(path).fd}`;
  }

  /** What stands at a place; undefined is nothing. */
  kind(place: Place): Kind | undefined {
    const stats = fs.lstatSync(place.at, { throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    if (stats.isDirectory()) return 'directory';
    if (stats.isSymbolicLink()) return 'symlink';
    return stats.isFile() ? 'file' : 'other';
  }

  /** The real path of a directory named by components, links followed in the last one too; undefined if none. */
  realPath(components: readonly string[]): string | undefined {
    return this.#resolve(components, false)?.path;
  }

  /** Removes what stands at a place, with all that is in it; `removed` hears of every real path that is gone. */
  async remove(place: Place, pace: Pace, removed: (path: string) => void): Promise<void> {
    const kind = this.kind(place);
    if (kind === undefined) return;
    if (kind === 'directory') {
      await this.prune(place.path, pace, () => true, removed);
      const { parent, path } = place;
      fs.rmdirSync(placeIn(this.#physical(parent), path.slice(parent === '' ? 0 : parent.length + 1)).at);
    } else {
      fs.unlinkSync(place.at);
    }
    removed(place.path);
    // Names may have been resolved by way of it.
    if (kind !== 'file') this.#forget();
  }

  /** Removes what is in a directory, except for what `doomed` spares; what is spared is gone through itself. */
  async prune(
    path: string,
    pace: Pace,
    doomed: (path: string) => boolean,
    removed: (path: string) => void,
  ): Promise<void> {
    try {
      await this.#prune(path, pace, doomed, removed);
    } finally {
      this.#forget();
    }
  }

  async #prune(
    path: string,
    pace: Pace,
    doomed: (path: string) => boolean,
    removed: (path: string) => void,
  ): Promise<void> {
    const fd = fs.openSync(this.directory(path), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      const inside = await readdir(`/proc/self/fd/${fd}`, { withFileTypes: true, encoding: 'latin1' });
      for (const entry of inside) {
        if (pace.due) await pace.turn();
        const child = placeIn({ fd, path }, entry.name);
        const isDoomed = doomed(child.path);
        if (entry.isDirectory()) await this.#prune(child.path, pace, isDoomed ? () => true : doomed, removed);
        if (!isDoomed) continue;
        if (entry.isDirectory()) fs.rmdirSync(child.at);
        else fs.unlinkSync(child.at);
        removed(child.path);
      }
    } finally {
      fs.closeSync(fd);
    }
  }

  #resolve(components: readonly string[], create: boolean): Directory | undefined {
    const asked = components.join('/');
    const known = this.#resolved.get(asked);
    if (known !== undefined) return this.#physical(known);
    const pending = components.slice().reverse();
    let here = this.#root;
    let hops = 0;
    while (pending.length > 0) {
      const name = pending.pop()!;
      if (name === '..') {
        here = this.#physical(here.path.slice(0, Math.max(0, here.path.lastIndexOf('/'))));
        continue;
      }
      const child = this.#child(here, name, create);
      if (child === undefined) return undefined;
      if (typeof child !== 'string') {
        here = child;
        continue;
      }
      hops++;
      if (hops > symlinksMax) throw new Refused(`the name goes through more than ${symlinksMax} symbolic links`);
      if (child.startsWith('/')) here = this.#root;
      pending.push(...targetComponents(child));
    }
    if (this.#resolved.size >= resolvedMax) this.#resolved.clear();
    this.#resolved.set(asked, here.path);
    return here;
  }

  /** The directory of that name, or the target of the symbolic link of that name. */
  #child(parent: Directory, name: string, create: boolean): Directory | string | undefined {
    const place = placeIn(parent, name);
    const fd = this.#open.get(place.path) ?? openDirectory(place);
    if (fd !== undefined) return this.#keep(place.path, fd);
    switch (this.kind(place)) {
      case 'symlink':
        return fs.readlinkSync(place.at, { encoding: 'latin1' });
      case undefined:
        if (!create) return undefined;
        checkPlace(place.path);
        fs.mkdirSync(place.at, 0o700);
        this.#made(place.path);
        return this.#keep(place.path, openDirectory(place)!);
      default:
        throw new Refused(`the name goes through ${showName(place.path)}, which is not a directory`);
    }
  }

  /** A directory by its real path. */
  #physical(path: string): Directory {
    if (path === '') return this.#root;
    const fd = this.#open.get(path);
    if (fd !== undefined) return this.#keep(path, fd);
    const slash = path.lastIndexOf('/');
    const parent = this.#physical(slash === -1 ? '' : path.slice(0, slash));
    const opened = openDirectory(placeIn(parent, path.slice(slash + 1)));
    if (opened === undefined) throw new RuntsError('ERR_INTERNAL', `directory gone while unpacking: ${path}`);
    return this.#keep(path, opened);
  }

  #keep(path: string, fd: number): Directory {
    this.#open.delete(path);
    this.#open.set(path, fd);
    if (this.#open.size > descriptorsMax) {
      const [oldest, oldestFd] = this.#open.entries().next().value!;
      this.#open.delete(oldest);
      fs.closeSync(oldestFd);
    }
    return { fd, path };
  }

  #forget(): void {
    for (const fd of this.#open.values()) fs.closeSync(fd);
    this.#open.clear();
    this.#resolved.clear();
  }
}

function placeIn(parent: Directory, name: string): Place {
  const at = `/proc/self/fd/${parent.fd}/${name}`;
  return {
    // Node encodes strings as UTF-8; a byte string with other bytes must go as it is.
    at: /^[\x00-\x7f]*$/.test(name) ? at : Buffer.from(at, 'latin1'),
    parent: parent.path,
    path: parent.path === '' ? name : `${parent.path}/${name}`,
  };
}

/** Undefined where there is no directory of this name: nothing, a symbolic link, or a file. */
function openDirectory(place: Place): number | undefined {
  try {
    return fs.openSync(place.at, openDirectoryFlags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
}

function targetComponents(target: string): string[] {
  return target
    .split('/')
    .filter((component) => component !== '' && component !== '.')
    .reverse();
}
