import { RuntsError } from '../errors.ts';
import { isBind } from '../spec/check-mounts.ts';
import { hasOwn } from '../spec/own.ts';
import type { Mount } from '../spec/types.ts';
import { attributes, type Change, followedBy, propagations } from './attributes.ts';
import { labelOption, systemTypes } from './filesystems.ts';
import { below, cleanPath } from './location.ts';
import { type MountOptions, mountOptions } from './options.ts';
import { ownerMaps } from './owners.ts';
import { remount } from './remount.ts';
import { replaceRoot } from './root.ts';
import { at, type Clone, changeMount, isMapped, type Site } from './site.ts';
import { systemMount } from './system.ts';
import { beginAsDirectory, beginsAsDirectory } from './tmpfs.ts';

/** Attaches the mounts of the configuration in their order. Relative sources of binds are below `bundle`. */
export function addMounts(site: Site, mounts: readonly Mount[], bundle: string | undefined): void {
  mounts.forEach((mount, i) => {
    addMount(site, mount, bundle, `/mounts/${i}`);
  });
}

function addMount(site: Site, asked: Mount, bundle: string | undefined, origin: string): void {
  const mount = inContainer(site, asked, origin);
  const options = mountOptions(mount.options ?? []);
  const [word] = options.refused;
  if (word !== undefined) {
    const message = `cannot mount on ${mount.destination}: the option ${word} is not supported`;
    throw new RuntsError('ERR_UNSUPPORTED', message, { origin, hint: 'Leave the option away.' });
  }
  if (options.remount) remount(site, mount, options, origin);
  else if (isBind(mount)) addBind(site, mount, options, bundle, origin);
  else addNew(site, mount, options, origin);
}

/** By custom, a destination may be where the host has it: the root file system's own path before it is taken off. */
function inContainer(site: Site, mount: Mount, origin: string): Mount {
  const path = pathInRoot(site, mount.destination);
  if (path === undefined || path === '' || site.rootPath === '/') return mount;
  site.warn(`${origin}/destination`, `${mount.destination} is taken for /${path}: it begins with the path of the root`);
  return { ...mount, destination: `/${path}` };
}

/** A path of the host as one in the container, where it lies in the directory that becomes the root. */
function pathInRoot({ rootPath }: Site, path: string): string | undefined {
  return rootPath === undefined ? undefined : below(cleanPath(path), cleanPath(rootPath));
}

function addNew(site: Site, mount: Mount, options: MountOptions, origin: string): void {
  const register = newMount(site, mount, options, origin);
  place(site, mount, { register, shared: false }, options, origin);
}

function addBind(site: Site, mount: Mount, options: MountOptions, bundle: string | undefined, origin: string): void {
  checkBind(site, mount, options, origin);
  const source = hostPath(mount, bundle, origin);
  const link = options.copySymlink && hasOwn(site.lookups.links, source) ? site.lookups.links[source] : undefined;
  if (link !== undefined) {
    site.ops.op('symlink', { ...at(site, mount.destination), target: link }, origin);
    return;
  }
  place(site, mount, bindMount(site, mount, source, options, origin), options, origin);
}

/** Gives a mount that nobody sees yet its last attributes, and puts it where it is to be. */
function place(site: Site, mount: Mount, { register, shared }: Clone, options: MountOptions, origin: string): void {
  const path = cleanPath(mount.destination);
  const fstype = isBind(mount) ? undefined : mount.type;
  const { recursive } = options;
  const late = protectsLate(fstype, path) ? attributes.readonly : 0;
  changeMount(site, register, { set: recursive.set & ~late, clear: recursive.clear }, true, origin);
  setPropagation(site, register, shared, options, origin);
  const ordinary = mount.type === 'proc' || mount.type === 'sysfs' ? 1 : 0;
  if (path === '') replaceRoot(site, register, origin);
  else site.ops.op('attach', { src: register, ...at(site, path), ordinary }, origin);
  const fresh = fstype !== undefined && freshTypes.has(fstype) && !options.copyUp;
  if (path !== '') site.placed.push({ path, register, fstype, readonly: isReadonly(options), fresh, origin });
}

/** What begins empty is filled first, with device nodes and the mount points of others: then it is made read-only. */
const protectsLate = (fstype: string | undefined, path: string): boolean => fstype === 'tmpfs' && path !== '';

/** After everything that is made in them. */
export function protectMounts(site: Site): void {
  for (const { fstype, path, readonly, register, origin = 'default: read-only' } of site.placed) {
    if (!readonly || !protectsLate(fstype, path)) continue;
    changeMount(site, register, { set: attributes.readonly, clear: 0 }, false, origin);
  }
}

/** File systems that are empty, or hold what the kernel shows: no links of a stranger in them. */
const freshTypes: ReadonlySet<string> = new Set(['proc', 'sysfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2', 'tmpfs']);

function invalid(mount: Mount, message: string, path: string, hint?: string): RuntsError {
  return new RuntsError('ERR_SPEC', `cannot mount on ${mount.destination}: ${message}`, {
    origin: path,
    hint,
    issues: [{ path, message }],
  });
}

// ---- binds -----------------------------------------------------------------------------------------------------------

function checkBind(site: Site, mount: Mount, options: MountOptions, origin: string): void {
  const at = `${origin}/options`;
  if (site.own.has('user') && (options.attributes.clear & lockable) !== 0) {
    site.warn(at, 'dev, suid and exec do nothing in a user namespace where the mount of the host forbids it');
  }
  if (options.copyUp) throw invalid(mount, 'tmpcopyup is for a tmpfs', at);
  const words = [...options.superblock, ...options.data];
  if (words.length === 0) return;
  site.warn(at, `${words.join(', ')}: the source of a bind has been mounted already, and stays as it is`);
}

function bindMount(site: Site, mount: Mount, source: string, options: MountOptions, origin: string): Clone {
  const owners = ownerMaps(site, mount, options, origin);
  const recursive = options.bind === 'recursive';
  const inside = owners === undefined ? pathInside(site, source, recursive) : undefined;
  const clone =
    inside === undefined
      ? site.clone({ stem: 'bind', source, recursive, idmap: false, owners, origin })
      : cloneInside(site, inside, recursive, origin);
  const device = source === '/dev' || source.startsWith('/dev/');
  const forced = device ? 0 : site.forced;
  const asked = wholeAtime(options.attributes);
  if (options.flagged) clearUnasked(site, clone.register, asked, origin);
  changeMount(site, clone.register, followedBy(asked, { set: forced, clear: 0 }), false, origin);
  return clone;
}

/**
 * A source in the new root is looked for there, where no link of the image leads out of it (CVE-2024-1753), and where
 * earlier mounts are seen. The root as a whole is the host's, unless one of them changed it.
 */
function pathInside(site: Site, source: string, recursive: boolean): string | undefined {
  const path = pathInRoot(site, source);
  if (path !== '') return path;
  return recursive && site.placed.length > 0 ? path : undefined;
}

function cloneInside(site: Site, path: string, recursive: boolean, origin: string): Clone {
  const dst = site.ops.register('bind');
  site.ops.op('clone_below', { dst, ...at(site, `/${path}`), recursive: recursive ? 1 : 0 }, origin);
  return { register: dst, shared: site.receives };
}

/**
 * With any word about its attributes, a bind has those that it was asked to have, and none of its source's (mount(2),
 * MS_REMOUNT with MS_BIND): but in a user namespace the kernel keeps those that protect the host.
 */
function clearUnasked(site: Site, src: string, { set, clear }: Change, origin: string): void {
  const kept = { unless: ['EPERM'] };
  const without = (bits: number) => {
    const rest = bits & ~(set | clear);
    if (rest === 0) return;
    site.ops.op('mount_attributes', { src, set: 0, clear: rest, propagation: 0, recursive: 0 }, origin, kept);
  };
  without(attributes.nosymfollow);
  if (!site.own.has('user')) without(protective);
}

/** What is noted of reading is one thing to mount(2): who says a part of it leaves the rest to the kernel's custom. */
function wholeAtime({ set, clear }: Change): Change {
  const said = (set & (attributes.atime | attributes.nodiratime)) !== 0 || (clear & attributes.atime) !== 0;
  return said ? { set, clear: clear | attributes.atime | (attributes.nodiratime & ~set) } : { set, clear };
}

const lockable = attributes.nosuid | attributes.nodev | attributes.noexec;
const protective = attributes.readonly | lockable;

function hostPath(mount: Mount, bundle: string | undefined, origin: string): string {
  const given = mount.source ?? '';
  if (given.startsWith('/')) return given;
  if (given !== '' && bundle !== undefined) return `${bundle}/${given}`;
  const message = given === '' ? 'a bind needs a source' : `the source ${given} is relative, and there is no bundle`;
  throw invalid(mount, message, `${origin}/source`);
}

// ---- new file systems --------------------------------------------------------------------------------------------------

function newMount(site: Site, mount: Mount, options: MountOptions, origin: string): string {
  const { type } = mount;
  if (type === undefined || type === '' || type === 'none') {
    throw invalid(mount, 'it has neither a type nor the option bind', `${origin}/type`);
  }
  if (options.copyUp && type !== 'tmpfs') throw invalid(mount, 'tmpcopyup is for a tmpfs', `${origin}/options`);
  // A devpts is nothing but device nodes, and nobody can make others in it.
  const forced = type === 'devpts' ? 0 : site.forced;
  const { set } = followedBy(options.attributes, { set: forced, clear: 0 });
  const data = [...options.superblock, ...mappedOwners(site, mount, options.data, origin)];
  const source = sourceOption(mount, set);
  const system = systemTypes[type];
  if (system !== undefined) {
    // Where nothing is said about it, nothing in it is executed.
    const usual = (mount.options ?? []).length === 0 ? usualAttributes : 0;
    return systemMount(site, { fstype: system, options: [...source, ...data], attributes: set | usual, origin });
  }

  const dst = site.ops.register(registerStem(type));
  const given = [...source, ...data, ...labelOption(site, data)];
  const covering = { dst, path: mount.destination, data, copyUp: options.copyUp, origin };
  const begins = type === 'tmpfs' && beginsAsDirectory(covering);
  // What it begins with comes before it is read-only.
  const late = type === 'tmpfs' ? set & attributes.readonly : 0;
  site.ops.op('fsmount', { dst, fstype: type, options: given, attributes: set & ~late }, origin);
  if (begins) beginAsDirectory(site, covering);
  if (!protectsLate(type, cleanPath(mount.destination))) {
    changeMount(site, dst, { set: late, clear: 0 }, false, origin);
  }
  return dst;
}

const usualAttributes = attributes.nosuid | attributes.nodev | attributes.noexec;

const registerStem = (type: string) => type.replace(/[^a-z]/g, '') || 'mount';

/** File systems that have nothing behind them: their source is a name for /proc/mounts. */
const sourceless: ReadonlySet<string> = new Set(['tmpfs', 'devpts', 'overlay', 'ramfs', ...Object.keys(systemTypes)]);

/** What is on a device is opened read-only where the mount is: the device may be, too. */
function sourceOption({ type = '', source = '' }: Mount, set: number): string[] {
  // The type is what it is called anyway.
  if (source === '' || source === (systemTypes[type] ?? type)) return [];
  return [`source=${source}`, ...((set & attributes.readonly) === 0 || sourceless.has(type) ? [] : ['ro'])];
}

/**
 * The kernel refuses a file system whose owner is not mapped. devpts gets along without: the usual gid=5 (tty) is not
 * mapped for a user with a single id, and its nodes then belong to the container's root.
 */
function mappedOwners(site: Site, mount: Mount, data: readonly string[], origin: string): readonly string[] {
  return data.filter((option) => {
    const match = /^([ug])id=(\d{1,10})$/.exec(option);
    if (match === null || isMapped(site, match[1] === 'u' ? 'uids' : 'gids', Number(match[2]))) return true;
    const message = `${option} is left out: this id is not mapped in the user namespace of the container`;
    if (mount.type !== 'devpts') {
      throw invalid(
        mount,
        `${option}: this id is not mapped in the user namespace of the container`,
        `${origin}/options`,
        'Map it in linux.uidMappings and linux.gidMappings (an ordinary user, with subordinate ids of /etc/subuid and /etc/subgid), or leave the option away.',
      );
    }
    site.warn(`${origin}/options`, message);
    return false;
  });
}

// ---- propagation -------------------------------------------------------------------------------------------------------

function setPropagation(site: Site, src: string, shared: boolean, options: MountOptions, origin: string): void {
  const { ops } = site;
  const set = (propagation: number, recursive: boolean) =>
    ops.op('mount_attributes', { src, set: 0, clear: 0, propagation, recursive: recursive ? 1 : 0 }, origin);
  const asked = options.propagation;
  if (asked === undefined || asked.flags === propagations.private) {
    // Nothing reaches a clone that was made after the whole mount namespace became private.
    if (shared) set(propagations.private, true);
    return;
  }
  // A clone must not send to the host, whatever it is to receive from there or to pass on.
  if (shared) set(asked.flags === propagations.unbindable ? propagations.private : propagations.slave, true);
  if (asked.flags !== propagations.slave || !shared) set(asked.flags, asked.recursive);
}

/** Whether a mount asks for mount events of the host. */
export function receivesMounts(mount: Mount): boolean {
  const flags = mountOptions(mount.options ?? []).propagation?.flags;
  return flags === propagations.slave || flags === propagations.shared;
}

const isReadonly = (options: MountOptions) =>
  (followedBy(options.attributes, options.recursive).set & attributes.readonly) !== 0;
