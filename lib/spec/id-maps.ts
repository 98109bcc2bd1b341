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
