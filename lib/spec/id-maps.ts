import type { Issue } from '../errors.ts';
import { pointer } from './pointer.ts';
import { id, integer, list, object, required } from './shape.ts';
import type { IdMapping } from './types.ts';

/** The kernel's limit of lines in an id map. */
export const idMapLinesMax = 340;

/** Ids end here; the one above is -1. */
const idCount = 0xffff_ffff;

/** The lines of an id map, one by one; `idMapFaults` says what must hold between them. */
export const idMappings = list(
  object({ containerID: required(id), hostID: required(id), size: required(integer(1, idCount)) }),
);

/** What the kernel would answer with no more than EINVAL: too many lines, ids beyond the last, ids mapped twice. */
export function idMapFaults(mappings: readonly IdMapping[], path: string): Issue[] {
  if (mappings.length > idMapLinesMax) {
    return [{ path, message: `must have at most ${idMapLinesMax} lines, not ${mappings.length}` }];
  }
  const issues: Issue[] = [];
  mappings.forEach((mapping, i) => {
    const at = pointer(path, i);
    for (const side of ['containerID', 'hostID'] as const) {
      if (mapping[side] + mapping.size > idCount) {
        issues.push({
          path: pointer(at, 'size'),
          message: `${mapping.size} ids from ${side} ${mapping[side]} on pass the last one`,
        });
      }
      const other = mappings.findIndex((earlier, j) => j < i && overlaps(earlier, mapping, side));
      if (other !== -1) issues.push({ path: pointer(at, side), message: `overlaps with line ${other}` });
    }
  });
  return issues;
}

function overlaps(a: IdMapping, b: IdMapping, side: 'containerID' | 'hostID'): boolean {
  return a[side] < b[side] + b.size && b[side] < a[side] + a.size;
}

/** Whether an id of the container stands for one outside. */
export function isMapped(mappings: readonly IdMapping[], id: number): boolean {
  return mappings.some(({ containerID, size }) => id >= containerID && id - containerID < size);
}

/** One line of `idmap=…`, in the words of a plan; `relative`: the id it leads to is one of the container's. */
export interface IdmapLine {
  readonly container: number;
  readonly host: number;
  readonly size: number;
  readonly relative: boolean;
}

/**
 * The maps of the mount option `idmap=uids=0-100000-10#20-100020-5;gids=@0-1-10` (crun): id in the file system, id that
 * it is seen as, number of ids. Undefined for what is none.
 */
export function idmapOption(text: string): { readonly uids: IdmapLine[]; readonly gids: IdmapLine[] } | undefined {
  const maps: { uids: IdmapLine[]; gids: IdmapLine[] } = { uids: [], gids: [] };
  for (const part of text.split(';')) {
    const [kind, lines] = part.split('=');
    if ((kind !== 'uids' && kind !== 'gids') || lines === undefined || maps[kind].length > 0) return undefined;
    for (const line of lines.split('#')) {
      const match = /^(@?)(\d{1,10})-(\d{1,10})-(\d{1,10})$/.exec(line);
      if (match === null) return undefined;
      const [container, host, size] = match.slice(2).map(Number) as [number, number, number];
      maps[kind].push({ container, host, size, relative: match[1] === '@' });
    }
  }
  const lines = { uids: maps.uids, gids: maps.gids };
  const fine = (each: readonly IdmapLine[]) =>
    each.length > 0 &&
    each.every(({ size }) => size > 0) &&
    idMapFaults(
      each.map(({ container, host, size }) => ({ containerID: container, hostID: host, size })),
      '',
    ).length === 0;
  return fine(lines.uids) && fine(lines.gids) ? lines : undefined;
}
