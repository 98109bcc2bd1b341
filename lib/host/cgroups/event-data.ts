import type { Counters, Pressures } from './parse.ts';
import type { CgroupStats, DeviceStats, MemoryStats } from './stats.ts';

/** What stands for "no limit" where a number must be: all bits set. */
const noLimit = 0xffff_ffff_ffff_ffffn;

/**
 * What a container uses, as `data` of a line of `events`: the form that the callers of an OCI runtime know. It has fields
 * of cgroup v1, which say what comes nearest; counts that are 0 are there, too. Bigints: to be written as JSON by
 * `stringifyJson`.
 */
export function eventData(stats: CgroupStats): object {
  const { cpu, memory, pids, io, hugetlb } = stats;
  return {
    cpu: {
      usage: { total: cpu.usage, kernel: cpu.system, user: cpu.user },
      throttling: {
        periods: cpu.periods,
        throttledPeriods: cpu.throttledPeriods,
        throttledTime: cpu.throttledTime,
      },
      burst: { burstsPeriods: cpu.bursts, burstTime: cpu.burstTime },
      ...psi(cpu.pressure),
    },
    cpuset: {},
    memory: memory === undefined ? noMemory : memoryData(memory),
    pids: { current: pids?.current ?? 0n, limit: pids?.limit ?? 0n },
    blkio: {
      ioServiceBytesRecursive: entries(io?.devices, { rbytes: 'Read', wbytes: 'Write', dbytes: 'Discard' }),
      ioServicedRecursive: entries(io?.devices, { rios: 'Read', wios: 'Write', dios: 'Discard' }),
      ...psi(io?.pressure),
    },
    hugetlb: Object.fromEntries(
      Object.keys(hugetlb).map((size) => {
        const { usage, failures } = hugetlb[size]!;
        return [size, { usage, failcnt: failures }];
      }),
    ),
    ...(stats.rdma && { rdma: { current: rdmaEntries(stats.rdma.current), limit: rdmaEntries(stats.rdma.limit) } }),
    ...(stats.misc && { misc: stats.misc }),
    intel_rdt: {},
    network_interfaces: null,
  };
}

const nothing = { limit: 0n, failcnt: 0n };
const noMemory = { usage: nothing, swap: nothing, kernel: nothing, kernelTCP: nothing };

function memoryData(memory: MemoryStats): object {
  const { usage, limit, peak, swapUsage, swapLimit, swapPeak, stat, events, swapEvents } = memory;
  const swap = swapUsage ?? 0n;
  return {
    cache: stat['file'] ?? 0n,
    usage: { limit: limit ?? noLimit, usage, max: peak ?? 0n, failcnt: events['max'] ?? 0n },
    // As in version 1, memory and swap together.
    swap: {
      limit: limit === undefined || swapLimit === undefined ? noLimit : limit + swapLimit,
      usage: usage + swap,
      max: peak === undefined ? 0n : peak + (swapPeak ?? 0n),
      failcnt: swapEvents['fail'] ?? 0n,
    },
    kernel: { limit: noLimit, usage: stat['kernel'] ?? stat['slab'] ?? 0n, failcnt: 0n },
    kernelTCP: { limit: noLimit, usage: stat['sock'] ?? 0n, failcnt: 0n },
    raw: stat,
    events,
    ...psi(memory.pressure),
  };
}

const psi = (pressure: Pressures | undefined) => (pressure === undefined ? {} : { psi: pressure });

function entries(devices: readonly DeviceStats[] = [], operations: Readonly<Record<string, string>>): object[] {
  return devices.flatMap(({ major, minor, counters }) =>
    Object.keys(operations).flatMap((key) => {
      const value = counters[key];
      return value === undefined ? [] : [{ major, minor, op: operations[key], value }];
    }),
  );
}

function rdmaEntries(devices: Readonly<Record<string, Counters>>): object[] {
  return Object.keys(devices).map((device) => ({
    device,
    hcaHandles: devices[device]?.['hca_handle'],
    hcaObjects: devices[device]?.['hca_object'],
  }));
}
