import { RuntsError } from '../errors.ts';
import type { Mount } from '../spec/types.ts';
import { attributes, followedBy, propagations } from './attributes.ts';
import { cleanPath } from './location.ts';
import { type MountOptions, mountOptions } from './options.ts';
import { at, type Clone, changeMount, type Site } from './site.ts';
import { systemMount } from './system.ts';

/** Attaches the mounts of the configuration in their order. Relative sources of binds are below `bundle`. */
export function addMounts(site: Site, mounts: readonly Mount[], bundle: string | undefined): void {
  mounts.forEach((mount, i) => {
    addMount(site, mount, bundle, `/mounts/${i}`);
  });
}

function addMount(site: Site, mount: Mount, bundle: string | undefined, origin: string): void {
  const options = mountOptions(mount.options ?? []);
  const destination = cleanPath(mount.destination);
  const bind = options.bind !== 'none' || mount.type === 'bind';
  checkMount(mount, options, destination, bind, origin);
  const { register, shared } = bind
    ? bindMount(site, mount, options, bundle, origin)
    : { register: newMount(site, mount, options, origin), shared: false };
  changeMount(site, register, options.recursive, true, origin);
  setPropagation(site, register, shared, options, origin);
  const ordinary = mount.type === 'proc' || mount.type === 'sysfs' ? 1 : 0;
  site.ops.op('attach', { src: register, ...at(site, destination), ordinary }, origin);
  const fstype = bind ? undefined : mount.type;
  const fresh = fstype !== undefined && freshTypes.has(fstype);
  site.placed.push({ path: destination, register, fstype, readonly: isReadonly(options), fresh });
}

/** File systems that are empty, or hold what the kernel shows: no links of a stranger in them. */
const freshTypes: ReadonlySet<string> = new Set(['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2']);

function checkMount(mount: Mount, options: MountOptions, destination: string, bind: boolean, origin: string): void {
  const refuse = (what: string, hint: string) => {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot mount on ${mount.destination}: ${what}`, { origin, hint });
  };
  if (destination === '') refuse('this is the root itself', 'Mount the contents one by one, or use them as the root.');
  const [word] = options.refused;
  if (word !== undefined) refuse(`the option ${word} is not supported`, 'Leave the option away.');
  if (hasMaps(mount))
    refuse('id maps of a single mount are not supported', 'The option idmap takes those of the container.');
  if (bind && options.data.length > 0) {
    const message = `a bind knows no option ${options.data.join(', ')}`;
    throw new RuntsError('ERR_SPEC', `cannot mount on ${mount.destination}: ${message}`, {
      origin: `${origin}/options`,
      issues: [{ path: `${origin}/options`, message }],
    });
  }
}

const hasMaps = ({ uidMappings = [], gidMappings = [] }: Mount) => uidMappings.length > 0 || gidMappings.length > 0;

function bindMount(site: Site, mount: Mount, options: MountOptions, bundle: string | undefined, origin: string): Clone {
  const source = hostPath(mount, bundle, origin);
  const idmap = options.idmap !== 'none';
  if (idmap && !(site.facts.privileged && site.own.has('user'))) {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot map the owners of the mount on ${mount.destination}`, {
      origin,
      hint: 'Only root can (mount_setattr(2)), for a container with a user namespace: leave idmap away, or run as root.',
    });
  }
  const clone = site.clone({ stem: 'bind', source, recursive: options.bind === 'recursive', idmap, origin });
  const device = source === '/dev' || source.startsWith('/dev/');
  const forced = device ? 0 : site.forced;
  changeMount(site, clone.register, followedBy(options.attributes, { set: forced, clear: 0 }), false, origin);
  return clone;
}

function hostPath({ source, destination }: Mount, bundle: string | undefined, origin: string): string {
  const given = source ?? '';
  if (given.startsWith('/')) return given;
  if (given !== '' && bundle !== undefined) return `${bundle}/${given}`;
  const message = given === '' ? 'a bind needs a source' : `the source ${given} is relative, and there is no bundle`;
  throw new RuntsError('ERR_SPEC', `cannot mount on ${destination}: ${message}`, {
    origin: `${origin}/source`,
    issues: [{ path: `${origin}/source`, message }],
  });
}

/** File systems of the kernel's own, by the configuration's word for them. */
const systemTypes: Readonly<Record<string, string>> = {
  proc: 'proc',
  sysfs: 'sysfs',
  mqueue: 'mqueue',
  // Version 1 has no namespace of its own to show, and is on its way out: the unified hierarchy it is.
  cgroup: 'cgroup2',
  cgroup2: 'cgroup2',
};

function newMount(site: Site, mount: Mount, options: MountOptions, origin: string): string {
  const { type } = mount;
  if (type === undefined || type === '' || type === 'none') {
    const message = 'it has neither a type nor the option bind';
    throw new RuntsError('ERR_SPEC', `cannot mount on ${mount.destination}: ${message}`, {
      origin,
      issues: [{ path: `${origin}/type`, message }],
    });
  }
  // A devpts is nothing but device nodes, and nobody can make others in it.
  const forced = type === 'devpts' ? 0 : site.forced;
  const set = followedBy(options.attributes, { set: forced, clear: 0 }).set;
  const system = systemTypes[type];
  if (system !== undefined) {
    return systemMount(site, { fstype: system, options: options.data, attributes: set, origin });
  }
  const dst = site.ops.register(registerStem(type));
  const data = type === 'devpts' ? mappedGid(site, options.data) : options.data;
  site.ops.op('fsmount', { dst, fstype: type, options: [...sourceOption(mount), ...data], attributes: set }, origin);
  return dst;
}

const registerStem = (type: string) => type.replace(/[^a-z]/g, '') || 'mount';

/** File systems that have nothing behind them: their source is a name for /proc/mounts. */
const sourceless: ReadonlySet<string> = new Set(['tmpfs', 'devpts', 'overlay', 'ramfs']);

function sourceOption({ type, source }: Mount): string[] {
  return source === undefined || source === '' || sourceless.has(type ?? '') ? [] : [`source=${source}`];
}

/** The usual gid=5 (tty) makes devpts fail where that id is not mapped; its nodes then belong to the container's root. */
function mappedGid(site: Site, data: readonly string[]): readonly string[] {
  return data.filter((option) => !option.startsWith('gid=') || site.isGidMapped(Number(option.slice(4))));
}

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
