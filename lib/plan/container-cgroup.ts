import { deviceRules } from '../cgroups/device-rules.ts';
import { deviceProgram } from '../cgroups/ebpf.ts';
import { cgroupOwner } from '../cgroups/owner.ts';
import { cgroupPlan } from '../cgroups/writes.ts';
import type { DeviceRule, Linux } from '../spec/types.ts';
import type { ContainerRequest } from './container.ts';
import type { Facts } from './facts.ts';
import type { CgroupPlan, Maps } from './plan.ts';

/** The container's cgroup: one that outlives us is ended by it, and its processes are found by it. */
export function planCgroup(request: ContainerRequest, facts: Facts, maps: Maps | undefined): CgroupPlan | undefined {
  const { id, spec, oci, cgroupDriver } = request;
  const counted = request.counted === true || request.systemView === 'limits';
  if (cgroupDriver === 'disabled') return undefined;
  return cgroupPlan(spec.linux, facts, id, {
    always: oci === true || counted,
    spare: counted,
    driver: cgroupDriver,
    owner: cgroupOwner(spec, maps),
    annotations: spec.annotations,
    deviceFilter: filtersDevices(request, facts) ? deviceProgram(deviceRules(spec.linux)) : undefined,
  });
}

/** The program that keeps other rules about devices than those that a container was made with. */
export const updatedFilter = ({ devices }: Linux, rules: readonly DeviceRule[]): Uint8Array =>
  deviceProgram(deviceRules({ namespaces: [], devices, resources: { devices: rules } }));

/** Whether rules about devices are kept by a program that root attaches to the container's cgroup. */
export function filtersDevices({ spec, oci, cgroupDriver }: ContainerRequest, facts: Facts): boolean {
  if (oci !== true || cgroupDriver === 'disabled') return false;
  const { devices = [], resources } = spec.linux;
  // With a filter the nodes that the container is given can be its own, with owner and mode.
  const asked = devices.length > 0 || (resources?.devices ?? []).length > 0;
  return facts.privileged && !facts.nested && facts.cgroup.parent !== undefined && asked;
}
