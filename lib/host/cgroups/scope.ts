import { RuntsError } from '../../errors.ts';
import { limitProperties, merged, scopeProperties } from '../../plan/cgroup.ts';
import type { CgroupPlan, CgroupWrite, UnitPlan } from '../../plan/plan.ts';
import type { Host } from '../host.ts';
import { withReleaseErrors } from '../undo.ts';
import type { Cgroup, CgroupRecord } from './cgroup.ts';
import { enableAlong } from './controllers.ts';
import { attempted, stateOf, textIn, words } from './files.ts';
import { writeLimits } from './limits.ts';
import { filterDevices, giveAway } from './make.ts';
import { openCgroup } from './open.ts';
import { attachProcess, lookUpUnit, setProperties, startScope, stopScope } from './systemd.ts';

/** Where a scope is going to be. Changes nothing; refuses one that others are in, which the end of ours would kill. */
export async function intendScope(host: Host, plan: CgroupPlan, { manager, name }: UnitPlan): Promise<CgroupRecord> {
  const { cgroup, taken } = await lookUpUnit(host, manager, name);
  const path = `${plan.parent}${cgroup}/${plan.path}`;
  const state = await attempted(stateOf(host, path), `look at the cgroup ${path}`);
  if (taken || state?.populated) {
    const who = taken ? `systemd has a unit ${name}` : `other processes are in ${path}`;
    throw new RuntsError('ERR_EXISTS', `container's cgroup is not empty: ${who}`, {
      hint: 'Choose another id, or another linux.cgroupsPath.',
    });
  }
  return { driver: 'systemd', path, made: [], unit: name, manager };
}

/**
 * Makes a scope of systemd's with a process in it, and its limits. What fails leaves no scope; then the process is dead, for
 * it was in it. `steady` is the host for the release: it must not stop at a cancellation.
 */
export async function makeScope(
  host: Host,
  plan: CgroupPlan,
  record: CgroupRecord,
  pid: number,
  steady: Host = host,
): Promise<Cgroup> {
  const { unit, manager, path } = named(record);
  const properties = merged([
    ...scopeProperties(plan.unit?.slice ?? '', pid, `runts container ${unit}`),
    ...(plan.unit?.properties ?? []),
    ...limitProperties(plan.writes),
  ]);
  let ours = false;
  try {
    await startScope(host, manager, unit, properties, () => {
      ours = true;
    });
    await mustBeIn(host, pid, path);
    await giveControllers(host, plan, path);
    await writeLimits(host, path, plan.writes);
    if (plan.deviceFilter !== undefined) await filterDevices(host, path, plan.deviceFilter);
    if (plan.owner !== undefined) await giveAway(host, path, plan.owner);
    return openCgroup(steady, record);
  } catch (error) {
    if (!ours) throw error;
    const failed = await removeScope(steady, record).then(
      () => [],
      (another: unknown) => [another],
    );
    throw withReleaseErrors(error, failed);
  }
}

/** What we write limits to has to be where the process is. */
async function mustBeIn(host: Host, pid: number, path: string): Promise<void> {
  const text = await attempted(host.files.read(`/proc/${pid}/cgroup`), `read the cgroup of process ${pid}`);
  const own = /^0::(.*)$/m.exec(text)?.[1] ?? '';
  if (own.length > 1 && path.endsWith(own)) return;
  throw new RuntsError('ERR_SETUP', `systemd put process ${pid} into the cgroup ${own}, and not ${path}`);
}

/** systemd enables those that it knows and has; what else a limit needs is enabled here, or an error. */
async function giveControllers(host: Host, { parent, writes }: CgroupPlan, path: string): Promise<void> {
  const has = words((await textIn(host, path, 'cgroup.controllers')) ?? '');
  const needed = new Set(writes.flatMap(({ controller }) => controller ?? []).filter((name) => !has.includes(name)));
  if (needed.size > 0) await enableAlong(host, parent, path, { needed: [...needed], writes });
}

/** Ends the scope of a record. Without its cgroup it is but a name, for which nobody needs to answer. */
export async function removeScope(host: Host, record: CgroupRecord): Promise<void> {
  const { unit, manager, path } = named(record);
  try {
    await stopScope(host, manager, unit);
  } catch (error) {
    const kind = await attempted(host.cgroups.kind(path), `look at the cgroup ${path}`);
    if (kind !== undefined) throw error;
  }
}

/** Moves a process into the scope of a record, or the cgroup below it that the record names, by systemd's hand. */
export function enterScope(host: Host, record: CgroupRecord, pid: number): Promise<void> {
  const { unit, manager, path } = named(record);
  const [, below = ''] = path.split(`/${unit}`);
  return attachProcess(host, manager, unit, below, pid);
}

/** Tells systemd of limits that are about to change, so that it keeps them. */
export async function setScopeLimits(host: Host, record: CgroupRecord, writes: readonly CgroupWrite[]): Promise<void> {
  const { unit, manager, path } = named(record);
  const was = (file: string) => textIn(host, path, file).then((text) => text?.trim());
  const told: CgroupWrite[] = [];
  for (const write of writes) {
    // To one that is not idle it would say that it has no weight of its own.
    if (write.file === 'cpu.idle' && write.value === '0' && (await was('cpu.idle')) === '0') continue;
    // The kernel keeps the period where there is a quota alone.
    const period =
      write.file === 'cpu.max' && !/\s/.test(write.value) ? (await was('cpu.max'))?.split(' ')[1] : undefined;
    told.push(period === undefined ? write : { ...write, value: `${write.value} ${period}` });
  }
  // Of which systemd has an opinion, and no property that could be changed now.
  const group = await was('memory.oom.group');
  await setProperties(host, manager, unit, limitProperties(told));
  if (group !== undefined && group !== (await was('memory.oom.group'))) {
    await attempted(host.cgroups.write(`${path}/memory.oom.group`, group), 'keep memory.oom.group of the cgroup');
  }
}

function named({ unit, manager, path }: CgroupRecord) {
  if (unit === undefined || manager === undefined) {
    throw new RuntsError('ERR_INTERNAL', `the cgroup ${path} is no scope of systemd's`);
  }
  return { unit, manager, path };
}
