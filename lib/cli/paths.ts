import type { Environment } from '../host/host.ts';
import { normalizePath } from '../spec/paths.ts';

/** A path of the host as our caller means it: relative ones begin where we were called. */
export function absolute(where: Pick<Environment, 'cwd'>, path: string): string {
  // A directory that is gone is missed by those only who name something in it.
  return normalizePath(path.startsWith('/') ? path : `${where.cwd}/${path}`);
}
