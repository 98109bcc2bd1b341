import { controllersFor } from '../cgroups/controllers.ts';
import type { Present } from '../cgroups/limit.ts';
import { resourceLimits } from '../cgroups/writes.ts';
import { RuntsError } from '../errors.ts';
import type { Resources } from '../spec/types.ts';
import type { CgroupFacts } from './facts.ts';
import type { CgroupWrite } from './plan.ts';

export type { Present } from '../cgroups/limit.ts';

/** Files whose present content decides what is to be written. */
export const presentFiles = ['cpu.max', 'memory.max', 'memory.swap.max'] as const;

/**
 * The writes that change an existing cgroup, in their order; what the change does not name stays. Origins are below the
 * resources themselves (`/memory/limit`), for an update has nothing else.
 */
export function updateWrites(resources: Resources, present: Present): CgroupWrite[] {
  try {
    return resourceLimits(resources, present).map((write) => ({ ...write, origin: relative(write.origin) }));
  } catch (error) {
    if (!RuntsError.is(error)) throw error;
    throw new RuntsError(error.code, error.message, {
      hint: error.hint,
      origin: error.origin && relative(error.origin),
      issues: error.issues?.map(({ path, message }) => ({ path: relative(path), message })),
      cause: error,
    });
  }
}

/** Refuses limits whose controllers cannot be had below `parent`: nothing has been changed yet. */
export function checkControllers(writes: readonly CgroupWrite[], facts: CgroupFacts, parent: string): void {
  controllersFor(writes, facts, { parent, path: '' });
}

const relative = (origin: string) => origin.replace(/^\/linux\/resources/, '');

/** What systemd is told of a scope and of its limits. */
export {
  hasIdleWeight,
  limitProperties,
  merged,
  type Property,
  scopeProperties,
  supported,
} from '../cgroups/scope.ts';
