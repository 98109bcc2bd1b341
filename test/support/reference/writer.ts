import fs, { constants } from 'node:fs';
import { checkPlace, pathComponents, readEntryName, showName } from '../../../lib/layers/entry-name.ts';
import { pathBytesMax } from '../../../lib/layers/limits.ts';
import type { Pace } from '../../../lib/layers/pace.ts';
import { Refused } from '../../../lib/layers/refused.ts';
import type { TarEntry, TarEntryType } from '../../../lib/layers/tar.ts';
import type { Ledger, Skipped } from './ledger.ts';
import type { Place, Tree } from './tree.ts';

const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export interface WriterOptions {
  /** Owners are given here and now. */
  readonly asRoot: boolean;
  readonly uidMax: number;
}

/** Puts the entries of layers into a tree, one after another: `begin`, its content by `write`, `end`. */
export class LayerWriter {
  readonly #tree: Tree;
  readonly #ledger: Ledger;
  readonly #pace: Pace;
  readonly #options: WriterOptions;
  #file: { readonly fd: number; readonly entry: TarEntry } | undefined;

  constructor(tree: Tree, ledger: Ledger, pace: Pace, options: WriterOptions) {
    this.#tree = tree;
    this.#ledger = ledger;
    this.#pace = pace;
    this.#options = options;
  }

  async begin(entry: TarEntry): Promise<void> {
    const name = readEntryName(entry.name);
    switch (name.kind) {
      case 'ignored':
        return;
      case 'root':
        return this.#root(entry);
      case 'whiteout':
        return this.#whiteout(name.components);
      case 'opaque':
        return this.#opaque(name.components);
      case 'entry':
        this.#checkOwner(entry);
        return this.#entry(entry, name.components);
    }
  }

  write(bytes: Buffer): void {
    if (this.#file === undefined) return;
    for (let at = 0; at < bytes.length; ) at += fs.writeSync(this.#file.fd, bytes, at);
  }

  end(): void {
    if (this.#file === undefined) return;
    const { fd, entry } = this.#file;
    if (this.#options.asRoot) fs.fchownSync(fd, entry.uid, entry.gid);
    // After the owner, whose change clears set-user-id; and not subject to the umask, as the mode of open(2) is.
    fs.fchmodSync(fd, entry.mode);
    fs.futimesSync(fd, time(entry.mtime), time(entry.mtime));
    this.close();
  }

  /** Lets go of a file that was begun. */
  close(): void {
    if (this.#file === undefined) return;
    fs.closeSync(this.#file.fd);
    this.#file = undefined;
  }

  /** Gives directories their modes, owners and times: earlier, a mode could keep us out, and each entry changes a time. */
  async settle(): Promise<void> {
    // Inner directories first: the outer one's mode may keep us from them.
    const directories = [...this.#ledger.directories].reverse();
    for (const [path, state] of directories) {
      if (this.#pace.due) await this.#pace.turn();
      const at = this.#tree.directory(path);
      if (this.#options.asRoot) fs.chownSync(at, state.uid, state.gid);
      fs.chmodSync(at, state.mode);
      if (state.mtime !== undefined) fs.utimesSync(at, time(state.mtime), time(state.mtime));
    }
  }

  async #entry(entry: TarEntry, components: readonly string[]): Promise<void> {
    const place = this.#tree.place(components, { create: true });
    checkPlace(place.path);
    if (entry.xattrs.size > 0) this.#ledger.skip(place.path, 'xattrs', [...entry.xattrs.keys()]);
    switch (entry.type) {
      case 'file':
        await this.#make(place, components, (at) => {
          this.#file = { fd: fs.openSync(at, createFlags, 0o600), entry };
        });
        return this.#ledger.entry(place.path, entry);
      case 'directory':
        return this.#directory(entry, place, components);
      case 'symlink':
        return this.#symlink(entry, place, components);
      case 'link':
        return this.#link(entry, place, components);
      case 'character':
      case 'block':
      case 'fifo':
        await this.#clear(place);
        return this.#ledger.skip(place.path, specials[entry.type]);
    }
  }

  async #directory(entry: TarEntry, place: Place, components: readonly string[]): Promise<void> {
    // A directory over a directory is merged with it, over anything else takes its place.
    if (!this.#ledger.directories.has(place.path)) {
      await this.#make(place, components, (at) => fs.mkdirSync(at, 0o700));
    }
    this.#ledger.directory(place.path, entry);
  }

  async #symlink(entry: TarEntry, place: Place, components: readonly string[]): Promise<void> {
    const target = entry.linkName;
    if (target === '' || target.includes('\0') || target.length > pathBytesMax) {
      throw new Refused('a symbolic link has no target, or one that cannot be');
    }
    await this.#make(place, components, (at) => {
      fs.symlinkSync(Buffer.from(target, 'latin1'), at);
      if (this.#options.asRoot) fs.lchownSync(at, entry.uid, entry.gid);
      fs.lutimesSync(at, time(entry.mtime), time(entry.mtime));
    });
    this.#ledger.entry(place.path, { uid: entry.uid, gid: entry.gid, mode: 0o777 });
  }

  /** The file keeps its owner, mode and times: the entry of a link says the same, or lies. */
  async #link(entry: TarEntry, place: Place, components: readonly string[]): Promise<void> {
    const targetComponents = pathComponents(entry.linkName);
    const target = this.#linkTarget(targetComponents, entry);
    if (target === undefined) return this.#ledger.skip(place.path, 'link to a skipped entry');
    if (target.path === place.path) return;
    await this.#make(place, components, (at) => {
      // Looked up again: making room for the link may have taken the target away.
      fs.linkSync(this.#linkTarget(targetComponents, entry)!.at, at);
    });
    this.#ledger.link(place.path, target.path);
  }

  /** The place of the linked file; undefined where that was skipped. link(2) does not follow a link at the end. */
  #linkTarget(components: readonly string[], entry: TarEntry): Place | undefined {
    const target = components.length === 0 ? undefined : this.#tree.place(components);
    const kind = target && this.#tree.kind(target);
    if (target !== undefined && (kind === 'file' || kind === 'symlink')) return target;
    if (target !== undefined && kind === undefined && this.#ledger.isSkipped(target.path)) return undefined;
    const reason = kind === undefined ? 'which is not there' : `which is a ${kind}`;
    throw new Refused(`a hard link to ${showName(entry.linkName)}, ${reason}`);
  }

  #root(entry: TarEntry): void {
    // CVE-2021-29136: a symbolic link in place of the root sent everything after it to the host.
    if (entry.type !== 'directory') throw new Refused(`the root itself is given as a ${entry.type}`);
    this.#checkOwner(entry);
    this.#ledger.directory('', entry);
  }

  /** Makes something at a place, after removing what stands there if need be. */
  async #make(place: Place, components: readonly string[], make: (at: Place['at']) => void): Promise<void> {
    try {
      make(place.at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await this.#clear(place);
      make(this.#tree.place(components, { create: true }).at);
    }
  }

  #clear(place: Place): Promise<void> {
    return this.#tree.remove(place, this.#pace, (path) => this.#ledger.removed(path));
  }

  async #whiteout(components: readonly string[]): Promise<void> {
    const place = this.#ledger.hasLowerLayers ? this.#tree.place(components) : undefined;
    const kind = place && this.#tree.kind(place);
    if (place === undefined || kind === undefined) return;
    if (!this.#ledger.isOfThisLayer(place.path)) return this.#clear(place);
    if (kind === 'directory') return this.#hideLower(place.path);
  }

  async #opaque(components: readonly string[]): Promise<void> {
    const path = this.#ledger.hasLowerLayers ? this.#tree.realPath(components) : undefined;
    if (path !== undefined) await this.#hideLower(path);
  }

  /** Removes what lower layers put into a directory. */
  #hideLower(path: string): Promise<void> {
    const ledger = this.#ledger;
    return this.#tree.prune(
      path,
      this.#pace,
      (inside) => !ledger.isOfThisLayer(inside),
      (gone) => ledger.removed(gone),
    );
  }

  #checkOwner(entry: TarEntry): void {
    const { uidMax } = this.#options;
    for (const [what, id] of [['user', entry.uid] as const, ['group', entry.gid] as const]) {
      if (id <= uidMax) continue;
      throw new Refused(`it belongs to ${what} ${id}; a container here has ids from 0 to ${uidMax}`);
    }
  }
}

const specials = {
  character: 'character device',
  block: 'block device',
  fifo: 'fifo',
} as const satisfies Partial<Record<TarEntryType, Skipped['what']>>;

/** Seconds for utimes(2); Node takes a negative number for the present time. */
function time(mtime: number): number {
  return Math.max(0, mtime);
}
