import type { Maps } from '../plan/plan.ts';
import { checkPlace, pathComponents, readEntryName } from './entry-name.ts';
import type { Ownership, Skipped } from './layer-file.ts';
import type { LayerPaths } from './layer-paths.ts';
import { pathBytesMax, recordedBytesMax, recordedEachBytes, skippedMax } from './limits.ts';
import type { Xattrs } from './pax.ts';
import type { LayerRecord, RecordStream } from './records.ts';
import { Refused } from './refused.ts';
import type { TarEntry } from './tar.ts';
import type { Owner } from './union.ts';
import { type UnmadeDevice, UnmadeDevices, unmadeDevice } from './unmade.ts';
import { isKeptAttribute } from './xattrs.ts';

/** Whether a container with these maps can give owners; with a single id they are recorded. */
export const givesOwners = (maps: Maps | undefined): boolean => maps?.setgroups !== 'deny';

/** What whoever unpacks may do, and how a layer is to stand on disk. */
export interface TranslatorOptions {
  /**
   * `overlay`: one layer by itself, with overlayfs's marks for what it takes away. `merged`: on top of what is there;
   * what it takes away has been taken away before (`translateRemovals`).
   */
  readonly form: 'overlay' | 'merged';
  /** Owners are given, or only told. */
  readonly owners: 'given' | 'recorded';
  /** Whether a container has an id: this one, or where owners are only told, any. */
  readonly isMapped: (kind: 'uids' | 'gids', id: number) => boolean;
  /** Device nodes can be made: by root of the host. */
  readonly devices: boolean;
  /** Of layers that are merged, those of all so far: what a later one does in a directory changes its time. */
  readonly paths: LayerPaths;
  /** Of layers that are merged, the owners that are recorded, by path. */
  readonly owned?: Map<string, Pick<Ownership, 'uid' | 'gid'>> | undefined;
  /** Of layers that are merged, the devices that are recorded. */
  readonly unmade?: UnmadeDevices | undefined;
}

type Attributes = Required<Pick<LayerRecord, 'uid' | 'gid' | 'mode' | 'mtime' | 'nanoseconds'>>;

/** What is asked of the layers below one that is unpacked by itself. */
export interface Below {
  /** Of a directory that the layer puts something into without having an entry for it. */
  inherited(name: string): Promise<Inherited | undefined>;
  /** Where a name leads that is a link there; undefined where it is none. */
  linked(name: string): Promise<string | undefined>;
  /** Whether something stands there. */
  has(name: string): Promise<boolean>;
}

/** What a lower layer has of a directory that a layer puts something into without having an entry for it. */
export interface Inherited extends Pick<LayerRecord, 'mode' | 'uid' | 'gid' | 'mtime' | 'nanoseconds' | 'xattrs'> {
  /** Where owners are recorded, what is recorded of it there. */
  readonly owner?: Owner | undefined;
}

const impliedMode = 0o755;
const noXattrs: Xattrs = new Map();

/** Makes records of the entries of one layer: `begin`, its content by `content`, at the end `settle`. */
export class LayerTranslator {
  readonly owners: Ownership[] = [];
  readonly skipped: Skipped[] = [];
  /** Names of directories that hide what lower layers have in them. */
  readonly opaque = new Set<string>();
  /** Extended attributes of directories, once they are settled. */
  readonly attributes = new Map<string, Xattrs>();
  readonly unmade: UnmadeDevices;
  readonly #out: RecordStream;
  readonly #options: TranslatorOptions;
  readonly #layer: number;
  readonly #paths: LayerPaths;
  readonly #below: Below;
  #recordedBytes = 0;
  #parent = '';
  #ready = '';
  #writes = false;

  constructor(out: RecordStream, layer: number, options: TranslatorOptions, below: Below) {
    this.#out = out;
    this.#below = below;
    this.#paths = options.paths;
    this.unmade = options.unmade ?? new UnmadeDevices();
    this.#layer = layer;
    this.#options = options;
  }

  /** True when `begin` can go on at once; else `prepare` is to be waited for before. */
  isReady({ name }: TarEntry): boolean {
    if (this.#options.form === 'merged') return true;
    const slash = name.lastIndexOf('/', name.length - 2);
    return name.slice(0, Math.max(0, slash)) === this.#ready;
  }

  /** Finds out where the directory of an entry is, which lower layers may have a link for. */
  async prepare(entry: TarEntry): Promise<void> {
    const name = readEntryName(entry.name);
    const components = 'components' in name ? name.components.slice(0, name.kind === 'opaque' ? undefined : -1) : [];
    await this.#paths.locate(components.join('/'), (directory) => this.#below.linked(directory));
    this.#ready = entry.name.slice(0, Math.max(0, entry.name.lastIndexOf('/', entry.name.length - 2)));
  }

  begin(entry: TarEntry): void {
    this.#writes = false;
    const name = readEntryName(entry.name);
    const path = 'components' in name ? this.#place(name.components.join('/'), name.kind) : '';
    const overlay = this.#options.form === 'overlay';
    switch (name.kind) {
      case 'ignored':
        return;
      case 'root':
        // CVE-2021-29136: a symbolic link in place of the root sent everything after it to the host.
        if (entry.type !== 'directory') throw new Refused(`the root itself is given as a ${entry.type}`);
        this.#checkOwner(entry);
        this.#keepDirectory('', entry);
        return;
      case 'whiteout':
        if (overlay) this.#whiteout(path);
        return;
      case 'opaque':
        if (overlay) this.#opaque(path);
        return;
      case 'entry':
        this.#entry(entry, path);
        return;
    }
  }

  #place(name: string, kind: string): string {
    return kind === 'opaque' ? this.#paths.where(name) : this.#paths.through(name);
  }

  content(bytes: Buffer): void {
    if (this.#writes) this.#out.content(bytes);
  }

  /** Gives directories their owners, modes and times, inner ones first; what is only implied has those of the lower layers. */
  async settle(): Promise<void> {
    if (this.#options.form === 'overlay') await this.#hideBelowUnmade();
    for (const told of this.#paths.told()) {
      if (this.#out.full) await this.#out.drained();
      if (told.kind === 'directory') {
        this.#out.record('settle', { name: told.name, ...told.entry });
        this.#noteAttributes(told.name, told.entry.xattrs);
      } else {
        const state = await this.#below.inherited(told.name);
        if (state !== undefined) this.#inherit(told.name, state);
      }
    }
    if (this.#paths.isDirectory('') || this.#options.form === 'merged') return;
    const state = (await this.#below.inherited('')) ?? ({ mode: impliedMode } as Inherited);
    this.#inherit('', state);
  }

  /** What cannot be made hides what lower layers have under its name, as if it stood there. */
  async #hideBelowUnmade(): Promise<void> {
    for (const { path } of this.unmade.all()) {
      if (!(await this.#below.has(path))) continue;
      if (this.#out.full) await this.#out.drained();
      this.#out.record('whiteout', { name: path });
    }
  }

  #inherit(name: string, { owner, ...state }: Inherited): void {
    this.#out.record('settle', { name, ...state });
    this.#noteAttributes(name, state.xattrs);
    if (owner !== undefined) this.owners.push({ path: name, ...owner, mode: state.mode ?? impliedMode });
  }

  #noteAttributes(name: string, xattrs: Xattrs | undefined): void {
    if (xattrs !== undefined && xattrs.size > 0) this.attributes.set(name, xattrs);
  }

  /** Counts what is held to the end. */
  #recorded(name: string, xattrs: Xattrs = noXattrs): void {
    this.#recordedBytes += recordedEachBytes + name.length;
    for (const [key, value] of xattrs) this.#recordedBytes += recordedEachBytes + key.length + value.length;
    if (this.#recordedBytes <= recordedBytesMax) return;
    throw new Refused(`it has more than ${recordedBytesMax} bytes of attributes, opaque directories and devices`, {
      hint: 'Make it again without extended attributes.',
    });
  }

  #entry(entry: TarEntry, name: string): void {
    checkPlace(name);
    this.#noteParents(name);
    if (isWhiteout(entry)) {
      if (this.#options.form === 'overlay') this.#whiteout(name);
      return;
    }
    this.#checkOwner(entry);
    this.unmade.replaced(name);
    if (entry.type !== 'directory' && this.#paths.isDirectory(name)) this.#replaceDirectory(name);
    const xattrs = this.#xattrs(entry, name);
    switch (entry.type) {
      case 'file':
        this.#writes = true;
        this.#out.record('file', { name, ...this.#attributes(entry), size: entry.size, xattrs });
        this.#owner(name, entry);
        return;
      case 'directory':
        this.#out.record('directory', { name });
        this.#keepDirectory(name, entry, xattrs);
        return;
      case 'symlink':
        this.#symlink(entry, name, xattrs);
        return;
      case 'link':
        this.#link(entry, name);
        return;
      case 'fifo':
        this.#node(entry, name, 0o010000, xattrs);
        return;
      case 'character':
      case 'block':
        checkNumbers(entry);
        if (this.#options.devices) this.#node(entry, name, devices[entry.type].type, xattrs);
        else this.#unmade(name, unmadeDevice(name, entry.type, { ...entry, xattrs }), devices[entry.type].what);
        return;
    }
  }

  #symlink(entry: TarEntry, name: string, xattrs: Xattrs): void {
    const target = entry.linkName;
    if (target === '' || target.includes('\0') || target.length > pathBytesMax) {
      throw new Refused('a symbolic link has no target, or one that cannot be');
    }
    this.#paths.setLink(name);
    this.#out.record('symlink', { name, target, ...this.#attributes(entry), xattrs });
    this.#owner(name, entry);
  }

  #link(entry: TarEntry, name: string): void {
    const target = this.#place(pathComponents(entry.linkName).join('/'), 'entry');
    if (target === '') throw new Refused('a hard link to the root');
    const device = this.unmade.get(target);
    // A device is nothing but its numbers: another name is another one.
    if (device !== undefined) this.#unmade(name, { ...device, path: name }, 'link to a skipped entry');
    else if (target !== name) this.#out.record('link', { name, target });
  }

  #node(entry: TarEntry, name: string, type: number, xattrs: Xattrs): void {
    const { major, minor } = entry;
    const attributes = this.#attributes(entry);
    this.#out.record('node', { name, ...attributes, mode: entry.mode | type, major, minor, xattrs });
    this.#owner(name, entry);
  }

  #unmade(name: string, device: UnmadeDevice, what: Skipped['what']): void {
    this.#recorded(name, new Map(device.xattrs));
    this.unmade.add(device);
    this.#options.owned?.delete(name);
    // Whatever else has the name gives way, and the directory is made for it, as with an entry that is made.
    const directory = name.slice(0, Math.max(0, name.lastIndexOf('/')));
    if (directory !== '' && !this.#paths.isDirectory(directory)) this.#out.record('file', { name });
    this.#out.record('remove', { name });
    this.#skip(name, what);
  }

  #whiteout(name: string): void {
    this.#out.record('whiteout', { name });
    this.#noteParents(name);
  }

  #opaque(name: string): void {
    this.#out.record('opaque', { name });
    this.#recorded(name);
    this.opaque.add(name);
    this.#noteParents(`${name}/.`);
  }

  #keepDirectory(name: string, entry: TarEntry, xattrs: Xattrs = this.#xattrs(entry, name)): void {
    const { uid, gid, mode, mtime, nanoseconds } = this.#attributes(entry);
    if (xattrs.size > 0) this.#recorded(name, xattrs);
    // Written out: objects that are made by spreading outlive collections, and there is one for each directory.
    this.#paths.setDirectory(name, { uid, gid, mode, mtime, nanoseconds, xattrs });
    this.#owner(name, entry);
    if (isMarkedOpaque(entry) && this.#options.form === 'overlay') this.#opaque(name);
  }

  /** A directory that gives way to something else goes with all that was in it. */
  #replaceDirectory(name: string): void {
    this.unmade.removed(name);
    this.#paths.replaceDirectory(name);
  }

  #noteParents(name: string): void {
    const parent = name.slice(0, Math.max(0, name.lastIndexOf('/')));
    if (parent === this.#parent) return;
    this.#parent = parent;
    this.#paths.imply(parent);
  }

  #attributes({ uid, gid, mode, mtime, nanoseconds }: TarEntry): Attributes {
    // One shape for all, and no copy on the way to it: there is one for each entry.
    const isGiven = this.#options.owners === 'given';
    return { uid: isGiven ? uid : undefined, gid: isGiven ? gid : undefined, mode, mtime, nanoseconds };
  }

  #owner(name: string, { uid, gid, mode }: TarEntry): void {
    if (this.#options.owners === 'given') return;
    this.#options.owned?.delete(name);
    if (uid === 0 && gid === 0) return;
    this.#options.owned?.set(name, { uid, gid });
    this.owners.push({ path: name, uid, gid, mode });
  }

  /** Those that mean something to a program in a container; marks of overlayfs are ours to make, and nobody else's. */
  #xattrs({ xattrs }: TarEntry, name: string): Xattrs {
    if (xattrs.size === 0) return xattrs;
    const kept = new Map([...xattrs].filter(([key]) => isKeptAttribute(key)));
    const left = [...xattrs.keys()].filter((key) => !isKeptAttribute(key) && !isOpaqueMark(key));
    if (left.length > 0) this.#skip(name, 'xattrs', left);
    return kept;
  }

  #skip(name: string, what: Skipped['what'], names?: readonly string[]): void {
    if (this.skipped.length >= skippedMax) return;
    const path = Buffer.from(name, 'latin1').toString('utf8');
    this.skipped.push({ path, layer: this.#layer, what, ...(names !== undefined && { names }) });
  }

  #checkOwner({ uid, gid }: TarEntry): void {
    this.#checkId('user', 'uids', uid);
    this.#checkId('group', 'gids', gid);
  }

  #checkId(what: string, kind: 'uids' | 'gids', id: number): void {
    if (this.#options.isMapped(kind, id)) return;
    throw new Refused(`it belongs to ${what} ${id}, which the container does not have`, { hint: mappedHint });
  }
}

const mappedHint = 'Give the container more ids: /etc/subuid and /etc/subgid say how many this user has.';

function checkNumbers({ major, minor }: TarEntry): void {
  if (major > 0xfff || minor > 0xfffff) throw new Refused(`a device with the numbers ${major}:${minor}`);
}

/**
 * What one layer takes away from those below it, as records for a tree that has those: first of all, for a layer takes
 * nothing away of its own (image-spec, layer.md).
 */
export function translateRemoval(out: RecordStream, entry: TarEntry, unmade?: UnmadeDevices): void {
  const name = readEntryName(entry.name);
  if (!('components' in name)) return;
  const path = name.components.join('/');
  if (name.kind === 'whiteout' || (name.kind === 'entry' && isWhiteout(entry))) {
    out.record('remove', { name: path });
    unmade?.removed(path);
  } else if (name.kind === 'opaque' || isMarkedOpaque(entry)) {
    out.record('empty', { name: path });
    unmade?.emptied(path);
  }
}

/** Overlayfs's own mark, in layers that were packed as they stood on disk. */
const isWhiteout = ({ type, major, minor }: TarEntry) => type === 'character' && major === 0 && minor === 0;

const isOpaqueMark = (key: string) => /^(?:user|trusted)\.overlay\.opaque$/.test(key);
const isMarkedOpaque = ({ type, xattrs }: TarEntry) =>
  type === 'directory' && [...xattrs].some(([key, value]) => isOpaqueMark(key) && value === 'y');

const devices = {
  character: { what: 'character device', type: 0o020000 },
  block: { what: 'block device', type: 0o060000 },
} as const;
