import type { CgroupPlan } from '../../plan/plan.ts';
import type { Cgroup, CgroupRecord } from '../cgroups/cgroup.ts';
import { intendCgroup, makeCgroup } from '../cgroups/make.ts';
import { openCgroup } from '../cgroups/open.ts';
import { makeScope } from '../cgroups/scope.ts';
import type { Host } from '../host.ts';
import type { Birthplace } from '../walk.ts';

/** Where the processes of a container are going to be, or are. */
export interface Placed {
  readonly record: CgroupRecord | undefined;
  /** Absent where a process must be there before its cgroup (systemd), or where there is none. */
  readonly birthplace: Birthplace | undefined;
  /** Makes what could not be made before there was a process. */
  adopt(pid: number): Promise<void>;
  /** Lets go of it: it stays. */
  close(): void;
  /** Kills what is in it, and removes it. */
  release(): Promise<void>;
}

const nowhere: Placed = {
  record: undefined,
  birthplace: undefined,
  adopt: async () => undefined,
  close: () => undefined,
  release: async () => undefined,
};

/** Makes the cgroup of a container. `intend` hears what will be made, before it is: a record on disk. */
export async function placeContainer(
  host: Host,
  steady: Host,
  plan: CgroupPlan | undefined,
  intend: (record: CgroupRecord) => Promise<void>,
): Promise<Placed> {
  if (plan === undefined) return nowhere;
  const record = await intendCgroup(host, plan);
  await intend(record);
  return record.driver === 'systemd' ? scope(host, steady, plan, record) : directory(host, steady, plan, record);
}

async function directory(host: Host, steady: Host, plan: CgroupPlan, record: CgroupRecord): Promise<Placed> {
  const cgroup = await makeCgroup(host, plan, record, steady);
  try {
    const handle = await cgroup.open();
    return {
      record: cgroup.record,
      birthplace: {
        path: record.path,
        handle: cgroup.record.made.includes(record.path) ? handle : undefined,
        enter: (pid) => cgroup.enter(pid),
      },
      adopt: async () => undefined,
      close: () => handle.close(),
      async release() {
        handle.close();
        await cgroup.remove();
      },
    };
  } catch (error) {
    await cgroup.remove();
    throw error;
  }
}

/** A scope of systemd's begins with a process in it. */
function scope(host: Host, steady: Host, plan: CgroupPlan, record: CgroupRecord): Placed {
  let made: Cgroup | undefined;
  return {
    record,
    birthplace: undefined,
    async adopt(pid) {
      made = await makeScope(host, plan, record, pid, steady);
    },
    close: () => undefined,
    async release() {
      if (made !== undefined) await openCgroup(steady, record).remove();
    },
  };
}
