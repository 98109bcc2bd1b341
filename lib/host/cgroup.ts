import type { CgroupPlan } from '../plan/plan.ts';
import type { CgroupRecord } from './cgroups/cgroup.ts';
import { makeCgroup } from './cgroups/make.ts';
import type { Handle, Host } from './host.ts';
import { withReleaseErrors } from './undo.ts';

/** The cgroup of a container that lives and ends with us. */
export interface AppliedCgroup {
  readonly path: string;
  readonly record: CgroupRecord;
  /** For the clone: CLONE_INTO_CGROUP; absent where it must be entered instead. */
  readonly handle: Handle | undefined;
  enter(pid: number): Promise<void>;
  /** Waits until nothing runs in it any more. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Kills every process in it, at once and without a race. */
  kill(): Promise<void>;
  /** Kills what still is in it, waits until it is empty, and removes the directories that were made. */
  remove(): Promise<void>;
}

/**
 * Makes the cgroup of a plan as it is intended, with its limits. `steady` is the host for the release: it must not stop at a
 * cancellation.
 * A directory that exists is used when nothing lives in it, and stays.
 */
export async function applyCgroup(
  host: Host,
  plan: CgroupPlan,
  intended: CgroupRecord,
  steady: Host = host,
): Promise<AppliedCgroup> {
  const cgroup = await makeCgroup(host, plan, intended, steady);
  try {
    const handle = await cgroup.open();
    return {
      path: cgroup.record.path,
      record: cgroup.record,
      handle: cgroup.record.made.includes(cgroup.record.path) ? handle : undefined,
      enter: (pid) => cgroup.enter(pid),
      freeze: () => cgroup.freeze(),
      thaw: () => cgroup.thaw(),
      kill: () => cgroup.kill(),
      remove: () => {
        handle.close();
        return cgroup.remove();
      },
    };
  } catch (error) {
    const errors = await cgroup.remove().then(
      () => [],
      (e: unknown) => [e],
    );
    throw withReleaseErrors(error, errors);
  }
}
