import { RuntsError, specError } from '../errors.ts';
import type { CgroupRecord } from '../host/cgroups/cgroup.ts';
import { type DeviceStats, readStats } from '../host/cgroups/stats.ts';
import { updateCgroup } from '../host/cgroups/update.ts';
import type { Host } from '../host/host.ts';
import { limitedDevices } from '../host/prepare.ts';
import { checkLimits } from '../spec/check-options.ts';
import { limitedResources } from '../spec/from-options.ts';
import type { Limits } from '../spec/options.ts';
import type { Home } from './home.ts';

/** What a container uses, as its cgroup counts it. What belongs to a controller that it does not have is undefined. */
export interface Stats {
  readonly at: Date;
  /** In microseconds, since it was made. */
  readonly cpu: {
    readonly usageUsec: number;
    readonly userUsec: number;
    readonly systemUsec: number;
    /** How long it was kept waiting by its limit. */
    readonly throttledUsec: number;
  };
  /** In bytes; `limit` is undefined where there is none, `peak` where the kernel does not count it. */
  readonly memory:
    | { readonly current: number; readonly peak: number | undefined; readonly limit: number | undefined }
    | undefined;
  /** Processes and threads; `limit` is undefined where there is none. */
  readonly pids: { readonly current: number; readonly limit: number | undefined } | undefined;
  /** In bytes, of all block devices. */
  readonly io: { readonly read: number; readonly written: number } | undefined;
}

interface Counted {
  readonly record: CgroupRecord;
}

/** What the cgroup of a container counts. */
export async function statsOf({ host }: Home, { record }: Counted): Promise<Stats> {
  const { cpu, memory, pids, io } = await readStats(host, record);
  return {
    at: new Date(),
    cpu: {
      usageUsec: micros(cpu.usage),
      userUsec: micros(cpu.user),
      systemUsec: micros(cpu.system),
      throttledUsec: micros(cpu.throttledTime),
    },
    memory: memory && {
      current: Number(memory.usage),
      peak: numberOrNone(memory.peak),
      limit: numberOrNone(memory.limit),
    },
    pids: pids && { current: Number(pids.current), limit: numberOrNone(pids.limit) },
    io: io && { read: sumOf(io.devices, 'rbytes'), written: sumOf(io.devices, 'wbytes') },
  };
}

const micros = (nanoseconds: bigint) => Number(nanoseconds / 1000n);
const numberOrNone = (value: bigint | undefined) => (value === undefined ? undefined : Number(value));
const sumOf = (devices: readonly DeviceStats[], key: string) =>
  devices.reduce((sum, { counters }) => sum + Number(counters[key] ?? 0n), 0);

/** Changes limits of a container; those that are not named stay. Where one of them cannot be set, none is. */
export async function changeLimits({ host, facts }: Home, { record }: Counted, limits: Limits): Promise<void> {
  const what = 'cannot change the limits of a container';
  const issues = checkLimits(limits);
  if (issues.length > 0) throw specError(what, issues);
  const resources = limitedResources({}, limits, await limitedDevices(host, limits), issues);
  if (issues.length > 0) throw specError(what, issues);
  await updateCgroup(host, record, resources, await facts());
}

/** Whether the kernel has killed anything in it for want of memory. */
export async function ranOutOfMemory(host: Host, cgroup: { readonly path: string } | undefined): Promise<boolean> {
  if (cgroup === undefined) return false;
  const events = await host.cgroups.read(`${cgroup.path}/memory.events`).catch(() => '');
  return /^oom_kill [1-9]/m.test(events);
}

/** The cgroup of a container, which what is asked of it needs. */
export function needCgroup<T extends Counted>(cgroup: T | undefined, doing: string): T {
  if (cgroup !== undefined) return cgroup;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot ${doing}: it has no cgroup of its own`, {
    hint: 'Containers have one where cgroup v2 is mounted and is ours: run as root, or start the program with "systemd-run --user --scope -p Delegate=yes <command>". A container of run() has none without limits.',
  });
}
