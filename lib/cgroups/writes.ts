import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import type { CgroupPlan } from '../plan/plan.ts';
import type { Linux, Resources } from '../spec/types.ts';
import { controllersFor, parentFor, withoutIdle } from './controllers.ts';
import { cpuLimits } from './cpu.ts';
import { hugetlbLimits } from './hugetlb.ts';
import { ioLimits } from './io.ts';
import { type Limit, type Present, refuseV1 } from './limit.ts';
import { memoryLimits } from './memory.ts';
import { cgroupPlace } from './path.ts';
import { pidsLimits } from './pids.ts';
import { rdmaLimits } from './rdma.ts';
import { annotatedProperties, scopeName, slicePath } from './scope.ts';
import { unifiedLimits } from './unified.ts';

/** How the container's cgroup is made. */
export interface CgroupRequest {
  /** `cgroupfs` unless given. */
  readonly driver?: CgroupPlan['driver'] | undefined;
  /** Wherever there can be one: it ends the container, and counts for it. Without this, where something asks for it. */
  readonly always?: boolean | undefined;
  /** With `always`: where nothing asks for one, the container does without, should it not be possible after all. */
  readonly spare?: boolean | undefined;
  /** Who gets it, as an id of the host. */
  readonly owner?: number | undefined;
  readonly deviceFilter?: Uint8Array | undefined;
  /** Of the container: some are properties of its scope. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** What a cgroup counts for everybody who asks: `events --stats`, and whoever reads its files. */
const counting = ['cpu', 'io', 'memory', 'pids'];

/** The container's cgroup; undefined where nothing asks for one, or where nothing but `always` does and there is no place. */
export function cgroupPlan(
  linux: Linux,
  facts: Facts,
  id: string,
  request: CgroupRequest = {},
): CgroupPlan | undefined {
  const { driver = 'cgroupfs', always = false, spare = false, owner, deviceFilter } = request;
  const asked = linux.resources === undefined ? [] : resourceLimits(linux.resources);
  const limits = driver === 'systemd' ? asked : withoutIdle(asked, facts.cgroup);
  const placed = linux.cgroupsPath !== undefined && linux.cgroupsPath !== '';
  const isAsked = limits.length > 0 || placed || deviceFilter !== undefined;
  if (!always && !isAsked) return undefined;
  if (driver === 'systemd') return scopePlan(linux.cgroupsPath, id, limits, facts, request);
  const place = cgroupPlace(linux.cgroupsPath, id, facts.cgroup);
  const controllers = controllersFor(limits, facts.cgroup, place);
  if (deviceFilter !== undefined) parentFor('/linux/resources/devices', facts.cgroup);
  if (place === undefined) return undefined;
  const wanted = counting.filter((name) => facts.cgroup.controllers.includes(name) && !controllers.includes(name));
  return {
    driver,
    ...place,
    controllers,
    wanted,
    writes: limits,
    ...(deviceFilter !== undefined && { deviceFilter }),
    ...(mayGiveAway(owner, facts) && { owner }),
    ...(spare && !isAsked && { spare }),
  };
}

/** A scope of systemd's, which makes the directories, and enables the controllers, by itself. */
function scopePlan(
  asked: string | undefined,
  id: string,
  limits: readonly Limit[],
  facts: Facts,
  { owner, deviceFilter, annotations = {} }: CgroupRequest,
): CgroupPlan {
  const manager = facts.privileged && facts.uid === 0 && !facts.nested ? 'system' : 'user';
  const { slice, unit } = scopeName(asked, id, manager);
  const { mount } = facts.cgroup;
  if (mount === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'cannot make a cgroup by systemd: there is no cgroup v2 file system', {
      origin: '/linux/cgroupsPath',
      hint: 'Boot with systemd.unified_cgroup_hierarchy=1.',
    });
  }
  return {
    driver: 'systemd',
    parent: mount,
    path: [slicePath(slice), unit].filter((part) => part !== '').join('/'),
    controllers: [],
    writes: limits,
    unit: { manager, name: unit, slice, properties: annotatedProperties(annotations) },
    ...(deviceFilter !== undefined && { deviceFilter }),
    ...(mayGiveAway(owner, facts) && { owner }),
  };
}

/** Nothing needs to be given to whom it belongs already; and only root can give. */
const mayGiveAway = (owner: number | undefined, { uid, privileged }: Facts) =>
  owner !== undefined && owner !== uid && privileged;

/**
 * Every limit, as writes in the order that the kernel wants them; `unified` last, so that it has the last word. `present`
 * is what an existing cgroup has: a change leaves alone what it does not name.
 */
export function resourceLimits(resources: Resources, present?: Present): Limit[] {
  const { memory, cpu, pids, blockIO, hugepageLimits, rdma, unified, network } = resources;
  if (network?.classID) refuseV1('network/classID', 'a class of network packets', 'Leave it away.');
  if ((network?.priorities ?? []).length > 0) refuseV1('network/priorities', 'network priorities', 'Leave them away.');
  return [
    ...(memory === undefined ? [] : memoryLimits(memory, present)),
    ...(cpu === undefined ? [] : cpuLimits(cpu, present)),
    ...(pids === undefined ? [] : pidsLimits(pids)),
    ...(blockIO === undefined ? [] : ioLimits(blockIO)),
    ...(hugepageLimits === undefined ? [] : hugetlbLimits(hugepageLimits)),
    ...(rdma === undefined ? [] : rdmaLimits(rdma)),
    ...(unified === undefined ? [] : unifiedLimits(unified)),
  ];
}
