import { attributes, propagations } from './attributes.ts';
import { stagePlace } from './host-root.ts';
import { standRoot } from './root.ts';
import type { Site } from './site.ts';

const origin = '/root/path';

/** Directories that are to be seen as one: what is written goes to the uppermost. */
export interface OverlayLayers {
  /** The directory of the host that has all of them in it, on one file system. */
  readonly data: string;
  /** Below it, the directory that all other names are relative to: so they are short, for the kernel takes 255 bytes. */
  readonly base: string;
  /** The topmost first; each may be a link to another place in `data`. */
  readonly lower: readonly string[];
  readonly upper: string;
  readonly work: string;
  /**
   * What is written is not to last over a crash of the machine, nor is it mounted again: nobody waits for the disk, neither the
   * container's fsync(2) nor its end, at which the kernel would write back the whole file system.
   */
  readonly volatile?: boolean | undefined;
  /** Who makes them one; the kernel itself unless given. */
  readonly server?: LayersServer | undefined;
}

/** A program that serves the files of a mount (fuse-overlayfs). */
export interface LayersServer {
  /** Absolute, and found where only root of the host writes to. */
  readonly program: string;
  /** An empty directory for its mount, relative to `base`. */
  readonly place: string;
}

/** A single option of fsconfig(2), its terminating NUL included. */
const optionBytesMax = 255;

/**
 * Layers of an image and a directory for changes as the root: a union mount (overlayfs).
 *
 * Overlays want their layers at paths. So the directory that has them all stands on the host's side for as long as the mount
 * is made, as one clone, through which, where root of the host makes a container with ids of its own, all owners are mapped.
 * `seen`: somebody looks at the host's side before the pivot, or there is none.
 */
export function overlayRoot(
  site: Pick<Site, 'ops' | 'facts' | 'own' | 'forced' | 'clone'>,
  layers: OverlayLayers,
  { seen = false }: { readonly seen?: boolean } = {},
): string {
  const { ops, facts } = site;
  const idmap = facts.privileged && site.own.has('user');
  const { register: stage } = site.clone({ stem: 'layers', source: layers.data, recursive: false, idmap, origin });
  const change = { src: stage, set: 0, clear: 0, propagation: propagations.private, recursive: 0 };
  ops.op('mount_attributes', change, origin);
  const place = stagePlace(facts);
  ops.op('attach_host', { src: stage, path: place }, origin);
  const base = ops.register('base');
  ops.op('open_below', { dst: base, root: stage, path: layers.base, directory: 1 }, origin);
  // The kernel looks layers up from the working directory.
  ops.op('enter', { dir: base }, origin);
  const root = ops.register('root');
  // A device node of an image is not to lead to a device of the host.
  const mount = { dst: root, fstype: 'overlay', attributes: site.forced | attributes.nodev };
  // userxattr: in a user namespace, the overlay's own marks cannot be kept in trusted attributes.
  const own = [`upperdir=${layers.upper}`, `workdir=${layers.work}`, 'userxattr'];
  const rest = layers.volatile === true ? [...own, 'volatile'] : own;
  const each = [...layers.lower.map((name) => `lowerdir+=${name}`), ...rest];
  const all = `lowerdir=${layers.lower.join(':')}`;
  // Before Linux 6.8 they can be given only all at once.
  const fallback = all.length - 'lowerdir='.length < optionBytesMax;
  ops.op('fsmount', { ...mount, options: each }, origin, fallback ? { unless: ['EINVAL'], skip: 1 } : {});
  if (fallback) ops.op('fsmount', { ...mount, options: [all, ...rest] }, origin);
  // The overlay holds what it needs by itself. To take the clone away costs as much as all other mounts together, and it goes
  // with the old root anyway.
  if (seen || place === '/proc') ops.op('detach', { src: stage }, origin);
  standRoot(site, root, origin);
  return root;
}
