import { devicesMax } from './limits.ts';
import { Refused } from './refused.ts';
import type { TarEntry } from './tar.ts';
import type { TreeEntry } from './tree-reader.ts';

/** A device of a layer that only root of the host could make: it stands in no directory, and in every archive. */
export interface UnmadeDevice {
  /** A byte string, relative to the root file system. */
  readonly path: string;
  readonly type: 'character' | 'block';
  readonly major: number;
  readonly minor: number;
  /** Permission bits. */
  readonly mode: number;
  /** Ids of the container. */
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly nanoseconds: number;
  readonly xattrs: readonly (readonly [string, string])[];
}

/** Those that are recorded while layers are unpacked, of one layer or of all that are merged. */
export class UnmadeDevices {
  readonly #devices = new Map<string, { readonly device: UnmadeDevice; readonly order: number }>();
  /** When a name went the last time, and with a slash at its end: when all that was in it went. */
  readonly #gone = new Map<string, number>();
  #order = 0;

  get(path: string): UnmadeDevice | undefined {
    return this.#devices.get(path)?.device;
  }

  add(device: UnmadeDevice): void {
    if (this.#devices.size >= devicesMax) throw new Refused(`it has more than ${devicesMax} devices`);
    this.#devices.set(device.path, { device, order: ++this.#order });
  }

  /** Something else has the name now. */
  replaced(path: string): void {
    this.#devices.delete(path);
  }

  /** The name is gone, and all that was in it. */
  removed(path: string): void {
    if (this.#devices.size > 0) this.#gone.set(path, ++this.#order);
  }

  /** All that was in the directory is gone. */
  emptied(path: string): void {
    this.removed(`${path}/`);
  }

  all(): readonly UnmadeDevice[] {
    const left = [...this.#devices.values()].filter(({ device, order }) => this.#lastGone(device.path) < order);
    return left.map(({ device }) => device);
  }

  #lastGone(path: string): number {
    const went = (name: string): number => this.#gone.get(name) ?? 0;
    let last = Math.max(went(path), went('/'));
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      last = Math.max(last, went(path.slice(0, slash)), went(path.slice(0, slash + 1)));
    }
    return last;
  }
}

/** What is recorded of an entry of an archive. */
export function unmadeDevice(path: string, type: UnmadeDevice['type'], entry: TarEntry): UnmadeDevice {
  const { major, minor, mode, uid, gid, mtime, nanoseconds, xattrs } = entry;
  return { path, type, major, minor, mode, uid, gid, mtime: Math.floor(mtime), nanoseconds, xattrs: [...xattrs] };
}

/** Devices as what stands in a directory, by the directory's path. */
export function byDirectory(devices: readonly UnmadeDevice[]): ReadonlyMap<string, readonly TreeEntry[]> {
  const found = new Map<string, TreeEntry[]>();
  for (const { path, xattrs, ...device } of devices) {
    const slash = path.lastIndexOf('/');
    const directory = path.slice(0, Math.max(0, slash));
    const entry: TreeEntry = {
      ...device,
      ...{ name: path.slice(slash + 1), target: '', size: 0, inode: 0n, links: 1, changed: '' },
      xattrs: new Map(xattrs),
    };
    const others = found.get(directory);
    if (others === undefined) found.set(directory, [entry]);
    else others.push(entry);
  }
  return found;
}
