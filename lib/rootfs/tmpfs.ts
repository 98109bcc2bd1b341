import { at, type Site } from './site.ts';

/** A tmpfs that is about to cover a directory. */
export interface Covering {
  readonly dst: string;
  readonly path: string;
  readonly data: readonly string[];
  /** With the files that are there. */
  readonly copyUp: boolean;
  readonly origin: string;
}

/** Whether a tmpfs takes something of the directory that it covers: it must not be read-only before. */
export const beginsAsDirectory = ({ data, copyUp }: Pick<Covering, 'data' | 'copyUp'>): boolean =>
  copyUp || !hasMode(data);

const hasMode = (data: readonly string[]) => data.some((option) => option.startsWith('mode='));

/**
 * A new tmpfs has the mode of the directory that it covers, unless it is given one: a /tmp stays open to all. With
 * `tmpcopyup` it begins with what that has, too.
 */
export function beginAsDirectory(site: Site, { dst, path, data, copyUp, origin }: Covering): void {
  const { ops } = site;
  const covered = at(site, path);
  const missing = { unless: ['ENOENT', 'ENOTDIR'] };
  if (!hasMode(data)) ops.op('inherit', { src: dst, ...covered, owner: copyUp ? 1 : 0 }, origin, missing);
  if (!copyUp) return;
  const src = ops.register('below');
  // One that is missing is made: then there is nothing to copy.
  if (covered.path !== '') ops.op('directory', { ...covered, mode: 0o755 }, origin);
  ops.op('open_below', { dst: src, ...covered, directory: 1 }, origin);
  ops.op('copy_tree', { src, dst }, origin);
}
