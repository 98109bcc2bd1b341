import type { Facts } from '../plan/facts.ts';
import type { IdMap, Maps } from '../plan/plan.ts';
import type { Builder } from '../program/builder.ts';
import type { Lookups } from '../spec/lookups.ts';
import type { NamespaceType } from '../spec/names.ts';
import { attributes, type Change } from './attributes.ts';
import { cleanPath, type Location, locate, type Placed } from './location.ts';

/** A mount of the host that the container gets a clone of. */
export interface HostMount {
  /** What its register is called, before a number. */
  readonly stem: string;
  readonly source: string;
  readonly recursive: boolean;
  /** Owners through the container's user namespace, where the file system can. */
  readonly idmap: boolean;
  /** Owners through these maps, and an error where the file system cannot. */
  readonly owners?: OwnerMaps | undefined;
  readonly origin: string;
}

/** Id maps of a single mount. */
export interface OwnerMaps {
  readonly uids: readonly IdMap[];
  readonly gids: readonly IdMap[];
  /** Those of the mounts below, too. */
  readonly recursive: boolean;
}

/** What the root file system is built with, and what stands of it so far. */
export interface Site {
  readonly ops: Builder;
  /** Where ops go that take something of the host in any case: before all others, where its mounts are left at once. */
  readonly taking: Builder;
  /** The mounts of the host are left before anything is mounted: what is cloned of them is one of theirs until it is made private. */
  readonly leaves: boolean;
  readonly facts: Facts;
  readonly lookups: Lookups;
  /** The types of namespaces that are the container's own. */
  readonly own: ReadonlySet<NamespaceType>;
  /** The maps of its new user namespace; without one, every id stands for itself. */
  readonly maps: Maps | undefined;
  /** Clones a mount of the host: in the init where that may, in a helper before it where only the host may. */
  readonly clone: (mount: HostMount) => Clone;
  /** Attributes that every mount gets where device nodes could be (lib/cgroups/devices.ts says why). */
  readonly forced: number;
  /** What the mounts of the container receive from the host: nothing, unless it asks for it. */
  readonly receives: boolean;
  /** SELinux's label for the files of new mounts; undefined where it labels none. */
  readonly label: string | undefined;
  /** Says that something was asked which is left out, as the specification or custom has it. */
  readonly warn: (origin: string, message: string) => void;
  /** Where the host has the directory that becomes the root; undefined where there is none. */
  readonly rootPath: string | undefined;
  /** The new root: the topmost mount at /, which changes when the configuration mounts something there. */
  root: string;
  readonly placed: Placed[];
  /** The clone of the host's /dev/null, where the container has it. */
  nullDevice?: string;
}

export interface Clone {
  readonly register: string;
  /** It still receives and sends mount events, unless the whole mount namespace was made private before. */
  readonly shared: boolean;
}

/** A path of the container as one below a register. */
export const at = (site: Site, path: string): Location => locate(site.placed, site.root, cleanPath(path));

/** Whether an id of the container stands for one outside. */
export function isMapped({ maps }: Pick<Site, 'maps'>, kind: 'uids' | 'gids', id: number): boolean {
  return maps === undefined || maps[kind].some(({ container, size }) => id >= container && id - container < size);
}

/** Sets and clears attributes of a mount that nobody sees yet. */
export function changeMount(site: Site, src: string, change: Change, recursive: boolean, origin: string): void {
  const { ops } = site;
  const on = (set: number, clear: number) => ({ src, set, clear, propagation: 0, recursive: recursive ? 1 : 0 });
  const atime = change.set & attributes.atime;
  if (change.clear !== 0) {
    // In a user namespace, attributes that the host has set are locked. Then the mount stays as restricted as it was,
    // as with every other runtime: a request to loosen it is not one that anything relies on for safety.
    const unless = site.own.has('user') ? { unless: ['EPERM'] } : {};
    ops.op('mount_attributes', on(atime, change.clear), origin, unless);
  }
  const set = change.clear === 0 ? change.set : change.set & ~atime;
  if (set !== 0) ops.op('mount_attributes', on(set, 0), origin);
}
