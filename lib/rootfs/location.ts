import { normalizePath } from '../spec/paths.ts';

/** A path of the container, as one below a register. */
export interface Location {
  readonly root: string;
  readonly path: string;
}

/** A mount that stands in the new root. */
export interface Placed {
  /** Where, without slashes around it; '' is the root itself. */
  readonly path: string;
  readonly register: string;
  /** What it is a new mount of; undefined for a bind. */
  readonly fstype: string | undefined;
  readonly readonly: boolean;
  /** Made by us, so that nothing in it can mislead: a procfs, a new tmpfs. A bind of something else is not. */
  readonly fresh: boolean;
  /** What in the configuration asked for it. */
  readonly origin?: string;
}

/** A path of the container without `.`, `..`, and superfluous slashes: `/proc/./sys/` is `proc/sys`. */
export const cleanPath = (path: string): string => normalizePath(path).slice(1);

/** The rest of `path` below `above`, or undefined when it is not below. */
export function below(path: string, above: string): string | undefined {
  if (path === above) return '';
  if (above === '') return path;
  return path.startsWith(`${above}/`) ? path.slice(above.length + 1) : undefined;
}

/**
 * Where a path of the container lies: below the fresh mount that it is seen through, else below the root. So what is
 * under /proc is found in the procfs that was mounted, wherever the image's links would lead the second time
 * (CVE-2023-27561, CVE-2026-41579). Binds are passed over, since absolute links in them mean the container's root; the
 * way to them leads through whatever they are mounted on.
 */
export function locate(placed: readonly Placed[], root: string, path: string): Location {
  let visible = Number.POSITIVE_INFINITY;
  for (let i = placed.length - 1; i >= 0; i--) {
    const mount = placed[i]!;
    const rest = below(path, mount.path);
    // A mount whose point is as deep as, or deeper than, a later one above the path is hidden by that one.
    if (rest === undefined || mount.path.length >= visible) continue;
    if (mount.fresh) return { root: mount.register, path: rest };
    visible = mount.path.length;
  }
  return { root, path };
}
