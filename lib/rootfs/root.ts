import { attributes, propagations } from './attributes.ts';
import { changeMount, type Site } from './site.ts';

/**
 * Where the new root stands until the pivot. On top of the old root, so that no directory of the host is needed: paths
 * of the host still lead into the old one, since our root directory is below what is mounted over it.
 */
export const standingPlace = '/';

/** A directory of the host, with all that is mounted below it, becomes the root. */
export function directoryRoot(site: Omit<Site, 'root'>, path: string): string {
  // Owners as the container sees them; where the file system cannot map them, as they are.
  const idmap = site.facts.privileged && site.own.has('user');
  const { register } = site.clone({ stem: 'root', source: path, recursive: true, idmap, origin: '/root/path' });
  const change = { src: register, clear: 0, propagation: propagations.private, recursive: 1 };
  site.ops.op('mount_attributes', { ...change, set: site.forced }, '/root/path');
  standRoot(site, register, '/root/path');
  return register;
}

/** Makes a detached mount one that can be pivoted to. */
export function standRoot({ ops }: Pick<Site, 'ops'>, src: string, origin: string): void {
  ops.op('attach_host', { src, path: standingPlace }, origin);
}

/** After everything that makes mount points in it, and not for what is mounted below. */
export function protectRoot(site: Site): void {
  changeMount(site, site.root, { set: attributes.readonly, clear: 0 }, false, '/root/readonly');
}
