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

/** With `tmpcopyup`, a new tmpfs begins with what the directory has that it covers. */
export function beginAsDirectory(site: Site, { dst, path, copyUp, origin }: Covering): void {
  if (!copyUp) return;
  const { ops } = site;
  const src = ops.register('below');
  const place = at(site, path);
  // One that is missing is made: then there is nothing to copy.
  if (place.path !== '') ops.op('directory', { ...place, mode: 0o755 }, origin);
  ops.op('open_below', { dst: src, ...place, directory: 1 }, origin);
  ops.op('copy_tree', { src, dst }, origin);
}
