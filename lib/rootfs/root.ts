import { attributes, propagations } from './attributes.ts';
import { changeMount, type Site } from './site.ts';

/**
 * Where the new root stands until the pivot. On top of the old root, so that no directory of the host is needed: paths
 * of the host still lead into the old one, since our root directory is below what is mounted over it.
 */
export const standingPlace = '/';

/**
 * A directory of the host, with all that is mounted below it, becomes the root. `inPlace`: until the pivot it stands over
 * the directory itself, where others look for it.
 */
export function directoryRoot(
  site: Omit<Site, 'root'>,
  path: string,
  { inPlace = false, nodev = false }: { readonly inPlace?: boolean; readonly nodev?: boolean | undefined } = {},
): string {
  // Owners as the container sees them; where the file system cannot map them, as they are.
  const idmap = site.facts.privileged && site.own.has('user');
  const { register } = site.clone({ stem: 'root', source: path, recursive: true, idmap, origin: '/root/path' });
  const change = { src: register, clear: 0, propagation: propagations.private, recursive: 1 };
  const set = site.forced | (nodev ? attributes.nodev : 0);
  site.ops.op('mount_attributes', { ...change, set }, '/root/path');
  // A directory that root of the container may not reach can have nothing mounted over it.
  if (inPlace) site.ops.op('attach_host', { src: register, path }, '/root/path', { unless: ['EACCES'], skip: 1 });
  standRoot(site, register, '/root/path');
  return register;
}

/** Makes a detached mount one that can be pivoted to. */
export function standRoot({ ops }: Pick<Site, 'ops'>, src: string, origin: string): void {
  ops.op('attach_host', { src, path: standingPlace }, origin);
}

/** A mount on / hides the root, and all that is mounted in it: it is the root from here on, and stands in its place. */
export function replaceRoot(site: Site, src: string, origin: string): void {
  // Not over it: what lies between the new root and the old one would stay after the pivot.
  site.ops.op('detach', { src: site.root }, origin);
  standRoot(site, src, origin);
  site.root = src;
  site.placed.length = 0;
}

/** Changes to the new root. Without pivot_root(2), which refuses an initial ramfs, by moving the mount over it. */
export function enterRoot({ ops, root }: Pick<Site, 'ops' | 'root'>, { noPivot }: { readonly noPivot: boolean }): void {
  ops.op(noPivot ? 'move_root' : 'pivot', { root }, 'default: root');
}

/** After everything that makes mount points in it, and not for what is mounted below. */
export function protectRoot(site: Site): void {
  changeMount(site, site.root, { set: attributes.readonly, clear: 0 }, false, '/root/readonly');
}
