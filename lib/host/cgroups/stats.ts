import { RuntsError } from '../../errors.ts';
import { errnoOf } from '../failure.ts';
import type { Host } from '../host.ts';
import type { CgroupRecord } from './cgroup.ts';
import { attempted, textIn } from './files.ts';
import { type Counters, flatKeyed, nestedKeyed, oneNumber, type Pressures, pressures } from './parse.ts';

/**
 * What a container uses. What belongs to a controller that the cgroup does not have is absent; a limit that is absent is
 * none. Every count is a bigint.
 */
export interface CgroupStats {
  readonly cpu: CpuStats;
  readonly memory?: MemoryStats | undefined;
  readonly pids?: { readonly current: bigint; readonly limit: bigint | undefined } | undefined;
  /** io.stat: by device, what the kernel counts (`rbytes`, `wbytes`, `rios`, `wios`, `dbytes`, `dios`, …). */
  readonly io?: { readonly devices: readonly DeviceStats[]; readonly pressure: Pressures | undefined } | undefined;
  /** By page size. */
  readonly hugetlb: Readonly<Record<string, HugetlbStats>>;
  /** By device: `hca_handle`, `hca_object`. */
  readonly rdma?: {
    readonly current: Readonly<Record<string, Counters>>;
    readonly limit: Readonly<Record<string, Counters>>;
  };
  /** By resource. */
  readonly misc?: { readonly current: Counters; readonly limit: Counters } | undefined;
}

/** Times in nanoseconds. */
export interface CpuStats {
  readonly usage: bigint;
  readonly user: bigint;
  readonly system: bigint;
  readonly periods: bigint;
  readonly throttledPeriods: bigint;
  readonly throttledTime: bigint;
  readonly bursts: bigint;
  readonly burstTime: bigint;
  readonly pressure: Pressures | undefined;
}

/** In bytes. */
export interface MemoryStats {
  readonly usage: bigint;
  readonly limit: bigint | undefined;
  /** The most that it ever was; the kernel counts that since 5.19. */
  readonly peak: bigint | undefined;
  readonly swapUsage: bigint | undefined;
  readonly swapLimit: bigint | undefined;
  readonly swapPeak: bigint | undefined;
  /** memory.stat. */
  readonly stat: Counters;
  /** memory.events: how often it came to `low`, `high`, `max`, `oom`, `oom_kill`, … */
  readonly events: Counters;
  readonly swapEvents: Counters;
  readonly pressure: Pressures | undefined;
}

export interface DeviceStats {
  readonly major: bigint;
  readonly minor: bigint;
  readonly counters: Counters;
}

export interface HugetlbStats {
  readonly usage: bigint;
  readonly limit: bigint | undefined;
  /** How often the limit refused a page. */
  readonly failures: bigint;
  readonly reserved: bigint | undefined;
}

type Read = (file: string) => Promise<string | undefined>;

/** Everything that the cgroup of a container counts. */
export async function readStats(host: Host, { path }: CgroupRecord): Promise<CgroupStats> {
  const read: Read = (file) =>
    attempted(
      textIn(host, path, file).catch((error: unknown) => {
        // Pressure is there and off (psi=0, cgroup.pressure).
        if (errnoOf(error) === 'EOPNOTSUPP') return undefined;
        throw error;
      }),
      `read ${file} of the cgroup ${path}`,
    );
  const cpu = await read('cpu.stat');
  if (cpu === undefined) throw new RuntsError('ERR_STATE', `cannot tell what is used: the cgroup ${path} is gone`);
  const names = await attempted(host.cgroups.list(path), `list the cgroup ${path}`);
  const [memory, pids, io, hugetlb, rdma, misc] = await Promise.all([
    memoryStats(read),
    pidsStats(read),
    ioStats(read),
    hugetlbStats(read, names),
    rdmaStats(read),
    miscStats(read),
  ]);
  return {
    cpu: cpuStats(flatKeyed(cpu), pressures(await read('cpu.pressure'))),
    memory,
    pids,
    io,
    hugetlb,
    ...(rdma && { rdma }),
    misc,
  };
}

function cpuStats(stat: Counters, pressure: Pressures | undefined): CpuStats {
  const micros = (key: string) => (stat[key] ?? 0n) * 1000n;
  return {
    usage: micros('usage_usec'),
    user: micros('user_usec'),
    system: micros('system_usec'),
    periods: stat['nr_periods'] ?? 0n,
    throttledPeriods: stat['nr_throttled'] ?? 0n,
    throttledTime: micros('throttled_usec'),
    bursts: stat['nr_bursts'] ?? 0n,
    burstTime: micros('burst_usec'),
    pressure,
  };
}

async function memoryStats(read: Read): Promise<MemoryStats | undefined> {
  const usage = oneNumber(await read('memory.current'));
  if (usage === undefined) return undefined;
  return {
    usage,
    limit: oneNumber(await read('memory.max')),
    peak: oneNumber(await read('memory.peak')),
    swapUsage: oneNumber(await read('memory.swap.current')),
    swapLimit: oneNumber(await read('memory.swap.max')),
    swapPeak: oneNumber(await read('memory.swap.peak')),
    stat: flatKeyed(await read('memory.stat')),
    events: flatKeyed(await read('memory.events')),
    swapEvents: flatKeyed(await read('memory.swap.events')),
    pressure: pressures(await read('memory.pressure')),
  };
}

async function pidsStats(read: Read): Promise<CgroupStats['pids']> {
  const current = oneNumber(await read('pids.current'));
  return current === undefined ? undefined : { current, limit: oneNumber(await read('pids.max')) };
}

async function ioStats(read: Read): Promise<CgroupStats['io']> {
  const text = await read('io.stat');
  if (text === undefined) return undefined;
  const rows = nestedKeyed(text);
  const devices = Object.keys(rows).flatMap((device) => {
    const [major, minor] = device.split(':').map((part) => oneNumber(part));
    return major === undefined || minor === undefined ? [] : [{ major, minor, counters: rows[device]! }];
  });
  return { devices, pressure: pressures(await read('io.pressure')) };
}

async function hugetlbStats(read: Read, names: readonly string[]): Promise<Readonly<Record<string, HugetlbStats>>> {
  const sizes = names.flatMap((name) => /^hugetlb\.([0-9]+[KMG]B)\.current$/.exec(name)?.[1] ?? []);
  const found: Record<string, HugetlbStats> = {};
  for (const size of sizes) {
    found[size] = {
      usage: oneNumber(await read(`hugetlb.${size}.current`)) ?? 0n,
      limit: oneNumber(await read(`hugetlb.${size}.max`)),
      failures: flatKeyed(await read(`hugetlb.${size}.events`))['max'] ?? 0n,
      reserved: oneNumber(await read(`hugetlb.${size}.rsvd.current`)),
    };
  }
  return found;
}

async function rdmaStats(read: Read): Promise<CgroupStats['rdma']> {
  const current = await read('rdma.current');
  return current === undefined
    ? undefined
    : { current: nestedKeyed(current), limit: nestedKeyed(await read('rdma.max')) };
}

async function miscStats(read: Read): Promise<CgroupStats['misc']> {
  const current = await read('misc.current');
  return current === undefined ? undefined : { current: flatKeyed(current), limit: flatKeyed(await read('misc.max')) };
}
