import { normalizePath } from '../spec/paths.ts';

/** A path of the host as our caller means it: relative ones begin where we were called. */
export function absolute(cwd: string, path: string): string {
  return normalizePath(path.startsWith('/') ? path : `${cwd}/${path}`);
}
