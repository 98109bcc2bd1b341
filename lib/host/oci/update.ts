import { RuntsError } from '../../errors.ts';
import { updatedFilter } from '../../plan/container-cgroup.ts';
import type { Facts } from '../../plan/facts.ts';
import type { DeviceRule, Resources, Spec } from '../../spec/types.ts';
import type { CgroupRecord } from '../cgroups/cgroup.ts';
import { filterDevices } from '../cgroups/make.ts';
import { updateCgroup } from '../cgroups/update.ts';
import type { Host } from '../host.ts';
import { probeFacts } from '../probe.ts';
import { updateGroup } from '../resctrl.ts';
import { operation } from './operation.ts';
import { statusOf } from './state.ts';
import { type Entry, load, openLocked, theRecord } from './store.ts';

export interface UpdateRequest {
  /** What is not in it stays as it is. */
  readonly resources: Resources;
  /** Of Intel RDT: lines of the schemata of its group. */
  readonly l3CacheSchema?: string | undefined;
  readonly memBwSchema?: string | undefined;
  readonly warn: (message: string) => void;
}

/** Changes the limits of a container that has not ended. */
export function updateContainer(
  host: Host,
  root: string,
  id: string,
  request: UpdateRequest,
  facts?: Facts,
): Promise<void> {
  return operation(host, `update container ${id}`, (ports) => update(ports, root, id, request, facts));
}

async function update(
  host: Host,
  root: string,
  id: string,
  { resources, l3CacheSchema, memBwSchema, warn }: UpdateRequest,
  facts: Facts | undefined,
): Promise<void> {
  const entry = await openLocked(host, root, id);
  try {
    const record = await theRecord(host, entry);
    const status = await statusOf(host, entry, record);
    if (status === 'stopped' || status === 'creating') {
      throw new RuntsError('ERR_STATE', `cannot update container ${id}: container not running: ${status}`);
    }
    if (Object.keys(resources).length > 0) {
      if (record.cgroup === undefined) {
        throw new RuntsError('ERR_UNSUPPORTED', `cannot update container ${id}: it has no cgroup of its own`, {
          hint: 'An ordinary user needs a delegated cgroup: run below a systemd scope or service with Delegate=yes.',
        });
      }
      const known = facts ?? (await probeFacts(host));
      const { devices, ...others } = resources;
      await updateCgroup(host, record.cgroup, others, known, warn);
      if (devices !== undefined) await updateDevices(host, entry, record.cgroup, devices, known);
    }
    const schemata = [l3CacheSchema, memBwSchema].filter((line) => line !== undefined);
    if (schemata.length > 0) {
      const spec = (await load(host, entry, 'config.json')) as Spec;
      await updateGroup(host, spec.linux.intelRdt, id, schemata);
    }
  } finally {
    entry.close();
  }
}

/** The rules about devices are those that are given now, and no others; for those that it has its nodes by, too. */
async function updateDevices(
  host: Host,
  entry: Entry,
  cgroup: CgroupRecord,
  rules: readonly DeviceRule[],
  { privileged, nested }: Facts,
): Promise<void> {
  if (!privileged || nested) {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot change the rules about devices of container ${entry.id}`, {
      origin: '/devices',
      hint: 'Only root of the host can attach a device filter.',
    });
  }
  const spec = (await load(host, entry, 'config.json')) as Spec;
  await filterDevices(host, cgroup.path, updatedFilter(spec.linux, rules));
}
