import { RuntsError } from '../errors.ts';
import type { CgroupFacts } from '../plan/facts.ts';
import { encodeUtf8 } from '../program/utf8.ts';
import { normalizePath } from '../spec/paths.ts';
import { parentFor } from './controllers.ts';

/** A directory to be made below one that is there. */
export interface Place {
  /** Absolute. */
  readonly parent: string;
  /** Without a leading slash. */
  readonly path: string;
}

const origin = '/linux/cgroupsPath';
/** NAME_MAX, in bytes. */
const nameMax = 255;

/**
 * Where the container's cgroup is:
 * - absolute: below the top of the cgroup v2 file system that we see;
 * - relative: below the directory that is delegated to us, which for root is the top;
 * - empty: there, too, with the name of the container; undefined where nothing is delegated.
 *
 * Cleaned as text: a `..` goes no higher than to where the path begins. Other runtimes made directories outside of the
 * hierarchy by it. Whoever opens it looks a second time (`CgroupFiles`).
 */
export function cgroupPlace(asked: string | undefined, id: string, facts: CgroupFacts): Place | undefined {
  const { mount, parent } = facts;
  if (asked === undefined || asked === '') return parent === undefined ? undefined : { parent, path: id };
  const clean = normalizePath(asked);
  const fault =
    clean === '/' ? 'it is the top of the hierarchy' : clean.slice(1).split('/').map(nameFault).find(Boolean);
  if (fault !== undefined) {
    throw new RuntsError('ERR_SPEC', `cannot place the container in the cgroup ${JSON.stringify(asked)}: ${fault}`, {
      origin,
      issues: [{ path: origin, message: fault }],
      hint: 'Give a path like "/group/name", or none.',
    });
  }
  if (!asked.startsWith('/')) return { parent: parentFor(origin, facts), path: clean.slice(1) };
  if (mount === undefined) return { parent: parentFor(origin, facts), path: clean.slice(1) };
  const path = mount + clean;
  // From the delegated directory down where it is below that: what is above is not ours to look at.
  if (parent !== undefined && path.startsWith(`${parent}/`)) return { parent, path: path.slice(parent.length + 1) };
  return { parent: mount, path: clean.slice(1) };
}

function nameFault(name: string): string | undefined {
  if (encodeUtf8(name).length > nameMax) return `a name in it has more than ${nameMax} bytes`;
  // The kernel refuses a newline; a name with a NUL would end there.
  return /[\n\0]/.test(name) ? 'a name in it has a character that no cgroup can have' : undefined;
}
