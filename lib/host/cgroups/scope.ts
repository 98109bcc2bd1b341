import { limitProperties, scopeProperties } from '../../cgroups/scope.ts';
import { RuntsError } from '../../errors.ts';
import type { CgroupPlan, CgroupWrite, UnitPlan } from '../../plan/plan.ts';
import type { Host } from '../host.ts';
import type { Cgroup, CgroupRecord } from './cgroup.ts';
import { writeLimits } from './limits.ts';
import { filterDevices, giveAway } from './make.ts';
import { openCgroup } from './open.ts';
import { managerCgroup, setProperties, startScope, stopScope } from './systemd.ts';

/** Where a scope is going to be. Changes nothing. */
export async function intendScope(host: Host, plan: CgroupPlan, { manager, name }: UnitPlan): Promise<CgroupRecord> {
  const path = `${plan.parent}${await managerCgroup(host, manager)}/${plan.path}`;
  return { driver: 'systemd', path, made: [], unit: name, manager };
}

/** Makes a scope of systemd's with a process in it, and its limits. What fails leaves no scope; the process stays ours. */
export async function makeScope(host: Host, plan: CgroupPlan, record: CgroupRecord, pid: number): Promise<Cgroup> {
  const { unit, manager, path } = named(record);
  const properties = [
    ...scopeProperties(plan.unit?.slice ?? '', pid, `runts container ${unit}`),
    ...(plan.unit?.properties ?? []),
    ...limitProperties(plan.writes),
  ];
  try {
    await startScope(host, manager, unit, properties);
    await mustBeIn(host, pid, path);
    await writeLimits(host, path, plan.writes);
    if (plan.deviceFilter !== undefined) await filterDevices(host, path, plan.deviceFilter);
    if (plan.owner !== undefined) await giveAway(host, path, plan.owner);
    return openCgroup(host, record);
  } catch (error) {
    await stopScope(host, manager, unit).catch(() => undefined);
    throw error;
  }
}

/** What we write limits to has to be where the process is. */
async function mustBeIn(host: Host, pid: number, path: string): Promise<void> {
  const text = await host.files.read(`/proc/${pid}/cgroup`);
  const own = /^0::(.*)$/m.exec(text)?.[1] ?? '';
  if (own !== '' && path.endsWith(own)) return;
  throw new RuntsError('ERR_SETUP', `systemd put process ${pid} into the cgroup ${own}, and not ${path}`);
}

/** Ends the scope of a record. */
export function removeScope(host: Host, record: CgroupRecord): Promise<void> {
  const { unit, manager } = named(record);
  return stopScope(host, manager, unit);
}

/** Tells systemd of limits that are about to change, so that it keeps them. */
export function setScopeLimits(host: Host, record: CgroupRecord, writes: readonly CgroupWrite[]): Promise<void> {
  const { unit, manager } = named(record);
  return setProperties(host, manager, unit, limitProperties(writes));
}

function named({ unit, manager, path }: CgroupRecord) {
  if (unit === undefined || manager === undefined) {
    throw new RuntsError('ERR_INTERNAL', `the cgroup ${path} is no scope of systemd's`);
  }
  return { unit, manager, path };
}
