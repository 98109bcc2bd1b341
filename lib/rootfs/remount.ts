import { isBind } from '../spec/check-mounts.ts';
import type { Mount } from '../spec/types.ts';
import { attributes, type Change, followedBy } from './attributes.ts';
import { cleanPath } from './location.ts';
import type { MountOptions } from './options.ts';
import { at, changeMount, type Site } from './site.ts';

/**
 * Changes a mount that is there: its attributes, and without `bind` the options of its file system too. Words that are
 * not given change nothing, and the source means nothing, as with mount(8).
 */
export function remount(site: Site, mount: Mount, options: MountOptions, origin: string): void {
  const src = mountAt(site, cleanPath(mount.destination), origin);
  const data = [...options.superblock, ...options.data];
  if (data.length > 0 && !isBind(mount)) site.ops.op('reconfigure', { src, options: data }, origin);
  else if (data.length > 0) {
    site.warn(`${origin}/options`, `${data.join(', ')}: bind,remount changes a mount, and not the file system in it`);
  }
  const change = followedBy(options.attributes, { set: site.forced, clear: 0 });
  changeMount(site, src, change, false, origin);
  changeMount(site, src, options.recursive, true, origin);
  notePlaced(site, src, followedBy(change, options.recursive));
  const { propagation } = options;
  if (propagation !== undefined) {
    const { flags, recursive } = propagation;
    const operands = { src, set: 0, clear: 0, propagation: flags, recursive: recursive ? 1 : 0 };
    site.ops.op('mount_attributes', operands, origin);
  }
}

/** The register of a mount: what the configuration has mounted is known, the rest is looked for in the root. */
function mountAt(site: Site, path: string, origin: string): string {
  if (path === '') return site.root;
  const known = site.placed.filter((placed) => placed.path === path).pop();
  if (known !== undefined) return known.register;
  const dst = site.ops.register('mount');
  site.ops.op('open_below', { dst, ...at(site, path), directory: 0 }, origin);
  return dst;
}

/** Whether what is mounted there can be written to is asked later, for kernel settings. */
function notePlaced({ placed }: Site, src: string, { set, clear }: Change): void {
  const i = placed.findIndex(({ register }) => register === src);
  if (i === -1 || ((set | clear) & attributes.readonly) === 0) return;
  placed[i] = { ...placed[i]!, readonly: (set & attributes.readonly) !== 0 };
}
