import type { Facts } from '../plan/facts.ts';
import { attributes, propagations } from './attributes.ts';
import { standRoot } from './root.ts';
import type { Site } from './site.ts';

const origin = 'default: host root';

/** Programs and what they are made of: links into /usr on a merged system, directories elsewhere. */
const programs = ['usr', 'bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32', 'libexec'] as const;
/**
 * Settings, and what did not come from a distribution. Their owners are never mapped: a file that only root of the host
 * may read (/etc/shadow, the host keys of ssh, TLS keys) must be one that root of the container may not.
 */
const unmapped = ['usr/local', 'etc', 'opt'] as const;

/** Directories that begin empty: whose they are outside is no business of the container's. */
const empty: readonly (readonly [path: string, mode: number])[] = [
  ['home', 0o755],
  ['root', 0o700],
  ['run', 0o755],
  ['srv', 0o755],
  ['mnt', 0o755],
  ['media', 0o755],
  ['tmp', 0o1777],
  ['var', 0o755],
  ['var/tmp', 0o1777],
  ['proc', 0o555],
  ['sys', 0o555],
  ['dev', 0o755],
];

export interface HostRootOptions {
  /** Nothing of the host's can be written over, not even privately. */
  readonly readonly: boolean;
}

/**
 * This machine's own programs as the root: /usr and its companions under a private, writable overlay, in a root of their
 * own (DESIGN.md §10). Changes live in a tmpfs, and end with the container.
 *
 * Overlays want their layers at paths. These are on a stage: a tmpfs that stands on the host's side of the pivot, in our
 * mount namespace only. So it goes with the old root, and the layers stay, held by the overlays alone.
 */
export function hostRoot(site: Omit<Site, 'root'>, options: HostRootOptions): string {
  const { ops, facts } = site;
  const root = ops.register('root');
  ops.op('fsmount', { dst: root, fstype: 'tmpfs', options: ['mode=755'], attributes: site.forced }, origin);
  standRoot(site, root, origin);
  const built: Site = { ...site, root };
  for (const [path, mode] of empty) ops.op('directory', { root, path, mode }, origin);

  const shown = [...programs, ...unmapped].filter((name) => facts.hostRoot[name] !== undefined);
  const directories: string[] = [];
  for (const name of shown) {
    const entry = facts.hostRoot[name]!;
    if (entry === 'directory') directories.push(name);
    else ops.op('symlink', { root, path: name, target: entry.link }, origin);
  }
  if (options.readonly) for (const name of directories) attachLower(built, name, root, name);
  else addOverlays(built, directories, stagePlace(facts));
  return root;
}

/** Makes a clone of the host's directory, restricted, and attaches it. */
function attachLower(site: Site, name: string, root: string, path: string): string {
  const idmap = site.facts.privileged && site.own.has('user') && !(unmapped as readonly string[]).includes(name);
  const { register } = site.clone({ stem: name.replace('/', '_'), source: `/${name}`, recursive: true, idmap, origin });
  const set = attributes.readonly | attributes.nosuid | attributes.nodev;
  const change = { src: register, set, clear: 0, propagation: propagations.private, recursive: 1 };
  site.ops.op('mount_attributes', change, origin);
  site.ops.op('attach', { src: register, root, path, ordinary: 0 }, origin);
  return register;
}

function addOverlays(site: Site, directories: readonly string[], place: string): void {
  const { ops, root } = site;
  const stage = ops.register('stage');
  ops.op('fsmount', { dst: stage, fstype: 'tmpfs', options: ['mode=700'], attributes: site.forced }, origin);
  ops.op('attach_host', { src: stage, path: place }, origin);
  for (const name of directories) {
    attachLower(site, name, stage, `${name}/lower`);
    ops.op('directory', { root: stage, path: `${name}/upper`, mode: 0o755 }, origin);
    ops.op('directory', { root: stage, path: `${name}/work`, mode: 0o755 }, origin);
  }
  // The kernel looks layers up from the working directory.
  ops.op('enter', { dir: stage }, origin);
  for (const name of directories) {
    const dst = ops.register('overlay');
    addOverlay(site, dst, stage, name);
    ops.op('attach', { src: dst, root, path: name, ordinary: 0 }, origin);
  }
}

/**
 * An overlay, or where none can be had the lower layer alone, which is read-only. EINVAL: mounts of the host are locked
 * below it (in a nested container), or its owners are mapped and the kernel is older than 5.19. ENODEV: no overlayfs.
 */
function addOverlay(site: Site, dst: string, stage: string, name: string): void {
  const { ops } = site;
  // userxattr: in a user namespace, the overlay's own marks cannot be kept in trusted attributes.
  const options = [`lowerdir=${name}/lower`, `upperdir=${name}/upper`, `workdir=${name}/work`, 'userxattr'];
  const unless = ['EPERM', 'EINVAL', 'ENODEV', 'EOPNOTSUPP'];
  const set = site.forced;
  ops.op('fsmount', { dst, fstype: 'overlay', options, attributes: set }, origin, { unless, skip: 1 });
  ops.op('clone_below', { dst, root: stage, path: `${name}/lower`, recursive: 1 }, `${origin} (instead of overlay)`);
}

/** Directories that every machine has. Whatever is wanted from below them has been cloned by now. */
const stagePlaces = ['mnt', 'media', 'srv'];

/** A directory of the host that the stage may hide from the rest of our program; there is always a /proc, we need it. */
export function stagePlace(facts: Facts): string {
  return `/${stagePlaces.find((name) => facts.hostRoot[name] === 'directory') ?? 'proc'}`;
}
