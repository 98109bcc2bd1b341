import type { Facts } from '../plan/facts.ts';
import type { CgroupPlan } from '../plan/plan.ts';
import type { Linux, Resources } from '../spec/types.ts';
import { controllersFor, parentFor } from './controllers.ts';
import { cpuLimits } from './cpu.ts';
import { hugetlbLimits } from './hugetlb.ts';
import { ioLimits } from './io.ts';
import { type Limit, refuseV1 } from './limit.ts';
import { memoryLimits } from './memory.ts';
import { cgroupPath } from './path.ts';
import { pidsLimits } from './pids.ts';
import { rdmaLimits } from './rdma.ts';
import { unifiedLimits } from './unified.ts';

/** The container's cgroup: none when there is neither a limit nor a place asked for. */
export function cgroupPlan(linux: Linux, facts: Facts, id: string): CgroupPlan | undefined {
  const limits = linux.resources === undefined ? [] : resourceLimits(linux.resources);
  const placed = linux.cgroupsPath !== undefined && linux.cgroupsPath !== '';
  if (limits.length === 0 && !placed) return undefined;
  const controllers = controllersFor(limits, facts.cgroup);
  const path = cgroupPath(linux.cgroupsPath, id);
  const parent = parentFor(placed ? '/linux/cgroupsPath' : limits[0]!.origin, facts.cgroup);
  const writes = limits.map(({ file, value, origin }) => ({ file, value, origin }));
  return { parent, path, controllers, writes };
}

/** Every limit, as writes in the order that the kernel wants them; `unified` last, so that it has the last word. */
export function resourceLimits(resources: Resources): Limit[] {
  const { memory, cpu, pids, blockIO, hugepageLimits, rdma, unified, network } = resources;
  if (network?.classID) refuseV1('network/classID', 'a class of network packets', 'Leave it away.');
  if ((network?.priorities ?? []).length > 0) refuseV1('network/priorities', 'network priorities', 'Leave them away.');
  return [
    ...(memory === undefined ? [] : memoryLimits(memory)),
    ...(cpu === undefined ? [] : cpuLimits(cpu)),
    ...(pids === undefined ? [] : pidsLimits(pids)),
    ...(blockIO === undefined ? [] : ioLimits(blockIO)),
    ...(hugepageLimits === undefined ? [] : hugetlbLimits(hugepageLimits)),
    ...(rdma === undefined ? [] : rdmaLimits(rdma)),
    ...(unified === undefined ? [] : unifiedLimits(unified)),
  ];
}
