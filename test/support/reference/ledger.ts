import type { Ownership, Skipped } from '../../../lib/layers/layer-file.ts';

export type { Ownership, Skipped } from '../../../lib/layers/layer-file.ts';

/** What a directory gets in the end, when nothing more is to be put into it. */
export interface DirectoryState {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Undefined for a directory that no layer has an entry for. */
  readonly mtime: number | undefined;
}

type Owner = Omit<Ownership, 'path'>;

const impliedDirectory: DirectoryState = { mode: 0o755, uid: 0, gid: 0, mtime: undefined };

/** What must be remembered about the tree while layers are applied; every path is a real path, as a byte string. */
export class Ledger {
  /** A directory comes after the directory it is in. */
  readonly directories = new Map<string, DirectoryState>([['', impliedDirectory]]);
  readonly skipped: Skipped[] = [];
  readonly #owners = new Map<string, Owner>();
  readonly #skippedPaths = new Set<string>();
  #layer = -1;
  /** What this layer put there. The first layer keeps none: there is nothing below it that it could hide. */
  #added: Set<string> | undefined;

  beginLayer(): void {
    this.#layer++;
    this.#added = this.#layer === 0 ? undefined : new Set();
  }

  /** Whether there can be anything for a whiteout to remove. */
  get hasLowerLayers(): boolean {
    return this.#added !== undefined;
  }

  /** Whether this layer has put something at the path, or below it. */
  isOfThisLayer(path: string): boolean {
    return this.#added?.has(path) ?? true;
  }

  implied(path: string): void {
    this.directory(path, impliedDirectory);
  }

  directory(path: string, { mode, uid, gid, mtime }: DirectoryState): void {
    this.directories.set(path, { mode, uid, gid, mtime });
    this.entry(path, { mode, uid, gid });
  }

  entry(path: string, { uid, gid, mode }: Owner): void {
    this.#add(path);
    if (uid !== 0 || gid !== 0) this.#owners.set(path, { uid, gid, mode });
    else this.#owners.delete(path);
  }

  /** A hard link has its file's owner: the file's first name may go, and the link stay. */
  link(path: string, target: string): void {
    this.#add(path);
    const owner = this.#owners.get(target);
    if (owner !== undefined) this.#owners.set(path, owner);
  }

  skip(path: string, what: Skipped['what'], names?: readonly string[]): void {
    if (what !== 'xattrs' && what !== 'owner') {
      this.#skippedPaths.add(path);
      this.#add(path);
    }
    this.skipped.push({ path: shown(path), layer: this.#layer, what, ...(names !== undefined && { names }) });
  }

  isSkipped(path: string): boolean {
    return this.#skippedPaths.has(path);
  }

  removed(path: string): void {
    this.directories.delete(path);
    this.#owners.delete(path);
    this.#added?.delete(path);
  }

  /** The owners to give; one that belongs to a name that is not UTF-8 is counted among the skipped instead. */
  ownerships(): Ownership[] {
    const rows: Ownership[] = [];
    for (const [name, owner] of this.#owners) {
      const path = utf8Name(name);
      if (path === undefined) this.skip(name, 'owner');
      else rows.push({ path, ...owner });
    }
    return rows;
  }

  #add(path: string): void {
    const added = this.#added;
    if (added === undefined) return;
    let rest = path;
    while (rest !== '' && !added.has(rest)) {
      added.add(rest);
      rest = rest.slice(0, Math.max(0, rest.lastIndexOf('/')));
    }
  }
}

function shown(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

/** A byte string as JavaScript text, or undefined where it is not UTF-8. */
function utf8Name(name: string): string | undefined {
  if (/^[\x00-\x7f]*$/.test(name)) return name;
  const bytes = Buffer.from(name, 'latin1');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}
