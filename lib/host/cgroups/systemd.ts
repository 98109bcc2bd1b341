import { RuntsError } from '../../errors.ts';
import type { CgroupPlan } from '../../plan/plan.ts';
import type { Host } from '../host.ts';
import type { Cgroup, CgroupRecord } from './cgroup.ts';

/** Makes a scope of systemd's with a process in it. */
export function makeScope(_host: Host, _plan: CgroupPlan, record: CgroupRecord, pid: number): Promise<Cgroup> {
  throw new RuntsError('ERR_UNSUPPORTED', `cannot put process ${pid} into the scope ${record.unit}: not there yet`);
}
