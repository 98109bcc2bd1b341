import { NumberRows } from './number-rows.ts';
import type { Pages } from './pages.ts';
import { noPath, PathTable, rootPath } from './path-table.ts';
import type { Xattrs } from './pax.ts';
import type { LayerRecord } from './records.ts';

/**
 * What a directory gets in the end, when nothing more is put into it: each entry changes its time, and a mode may keep us
 * out.
 */
export type DirectoryEntry = Required<Pick<LayerRecord, 'uid' | 'gid' | 'mode' | 'mtime' | 'nanoseconds' | 'xattrs'>>;

/** What an archive has of a path: itself, or only something that is in it. */
export type Told = { readonly name: string } & (
  | { readonly kind: 'directory'; readonly entry: DirectoryEntry }
  | { readonly kind: 'implied' }
);

const columns = {
  uid: 0,
  gid: 1,
  mode: 2,
  nanoseconds: 3,
  seconds: 4,
  secondsHigh: 5,
  /** When it was told as a directory the last time. */
  told: 6,
  /** When it was replaced the last time, with all that was in it. */
  replaced: 7,
  /** 1 more than the number of the path where it is, once that has been found out. */
  place: 8,
  marks: 9,
} as const;

const marks = { link: 1, implied: 2 } as const;
/** An id that is not given; no file has it. */
const none = 0xffff_ffff;
const noXattrs: Xattrs = new Map();

/**
 * What is remembered of the paths of a layer, which may have a great many: of each a few numbers, and the bytes of its last
 * component.
 */
export class LayerPaths {
  readonly #paths: PathTable;
  readonly #rows: NumberRows;
  readonly #xattrs = new Map<number, Xattrs>();
  /** Counts replacements: a directory that was told before one of those it is in was replaced is gone. */
  #now = 1;
  #isMoved = false;

  constructor(memory: Pages) {
    this.#paths = new PathTable(memory);
    this.#rows = new NumberRows(memory, Object.keys(columns).length);
  }

  /** Whether it was told as a directory, and has not been replaced since. */
  isDirectory(name: string): boolean {
    const path = this.#paths.find(name);
    return path !== noPath && this.#isDirectory(path);
  }

  /** Again, and later: what was said last counts. */
  setDirectory(name: string, { uid, gid, mode, mtime, nanoseconds, xattrs }: DirectoryEntry): void {
    const path = this.#paths.add(name);
    const set = (column: number, value: number) => this.#rows.set(path, column, value);
    const seconds = Math.floor(mtime);
    set(columns.uid, uid ?? none);
    set(columns.gid, gid ?? none);
    set(columns.mode, mode);
    set(columns.nanoseconds, nanoseconds);
    set(columns.seconds, seconds);
    set(columns.secondsHigh, Math.floor(seconds / 2 ** 32));
    set(columns.told, this.#now);
    if (xattrs.size > 0) this.#xattrs.set(path, xattrs);
    else this.#xattrs.delete(path);
  }

  /** A directory that gives way to something else goes with all that was in it. */
  replaceDirectory(name: string): void {
    this.#rows.set(this.#paths.add(name), columns.replaced, ++this.#now);
  }

  setLink(name: string): void {
    this.#mark(this.#paths.add(name), marks.link);
  }

  /** Something is put into the directory, and into those that it is in. */
  imply(name: string): void {
    for (let at = this.#paths.add(name); at !== rootPath; at = this.#paths.directoryOf(at)) {
      if (this.#isMarked(at, marks.implied)) return;
      this.#mark(at, marks.implied);
    }
  }

  /** All directories, inner ones first. */
  *told(): Generator<Told> {
    for (let path = this.#paths.size - 1; path >= rootPath; path--) {
      if (this.#isDirectory(path)) yield { name: this.#paths.text(path), kind: 'directory', entry: this.#entry(path) };
      else if (this.#isMarked(path, marks.implied) && !this.#isMarked(path, marks.link)) {
        yield { name: this.#paths.text(path), kind: 'implied' };
      }
    }
  }

  /** Finds out where a directory is, and those that it is in, which lower layers may have links for. */
  async locate(name: string, linked: (name: string) => Promise<string | undefined>): Promise<void> {
    const unknown: { readonly path: number; readonly end: number }[] = [];
    let path = this.#paths.add(name);
    for (let end = name.length; path !== rootPath && !this.#isLocated(path); end = name.lastIndexOf('/', end - 1)) {
      unknown.push({ path, end });
      path = this.#paths.directoryOf(path);
    }
    for (const { path, end } of unknown.reverse()) {
      const through = this.through(name.slice(0, end));
      const isOurs = this.#isDirectory(path) || this.#isMarked(path, marks.link);
      const link = isOurs ? undefined : await linked(through);
      if (link !== undefined) this.#isMoved = true;
      this.#rows.set(path, columns.place, 1 + (this.#isMoved ? this.#paths.add(link ?? through) : path));
    }
  }

  /** A name by way of directories, not links of lower layers. */
  through(name: string): string {
    const slash = name.lastIndexOf('/');
    return this.#isMoved && slash !== -1 ? joined(this.where(name.slice(0, slash)), name.slice(slash + 1)) : name;
  }

  /** Where a directory is, as far as that has been found out. */
  where(name: string): string {
    if (!this.#isMoved) return name;
    let { number: path, length } = this.#paths.nearest(name);
    for (; !this.#isLocated(path); length = Math.max(0, name.lastIndexOf('/', length - 1))) {
      if (path === rootPath) return name;
      path = this.#paths.directoryOf(path);
    }
    return joined(this.#paths.text(this.#rows.get(path, columns.place) - 1), name.slice(length + 1));
  }

  #isLocated(path: number): boolean {
    return this.#rows.get(path, columns.place) > 0;
  }

  #isDirectory(path: number): boolean {
    const told = this.#rows.get(path, columns.told);
    if (told === 0 || told === this.#now) return told > 0;
    for (let at = path; ; at = this.#paths.directoryOf(at)) {
      if (this.#rows.get(at, columns.replaced) > told) return false;
      if (at === rootPath) return true;
    }
  }

  #entry(path: number): DirectoryEntry {
    const get = (column: number) => this.#rows.get(path, column);
    const id = (column: number) => (get(column) === none ? undefined : get(column));
    return {
      uid: id(columns.uid),
      gid: id(columns.gid),
      mode: get(columns.mode),
      mtime: (get(columns.secondsHigh) | 0) * 2 ** 32 + get(columns.seconds),
      nanoseconds: get(columns.nanoseconds),
      xattrs: this.#xattrs.get(path) ?? noXattrs,
    };
  }

  #isMarked(path: number, mark: number): boolean {
    return (this.#rows.get(path, columns.marks) & mark) !== 0;
  }

  #mark(path: number, mark: number): void {
    this.#rows.set(path, columns.marks, this.#rows.get(path, columns.marks) | mark);
  }
}

const joined = (directory: string, rest: string) =>
  directory === '' || rest === '' ? directory + rest : `${directory}/${rest}`;
