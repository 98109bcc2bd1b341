import type { CpuResources } from '../spec/types.ts';
import { isSet, type Limit, type Present, refuseV1, resources } from './limit.ts';

/** Limits of processor time, and of the processors and memory nodes to use. */
export function cpuLimits(cpu: CpuResources, present?: Present): Limit[] {
  const { shares, burst, idle, cpus, mems, realtimePeriod, realtimeRuntime } = cpu;
  if (isSet(realtimePeriod)) refuseV1('cpu/realtimePeriod', 'a real-time period', 'Leave it away.');
  if (isSet(realtimeRuntime)) refuseV1('cpu/realtimeRuntime', 'a real-time budget', 'Leave it away.');
  const limits: Limit[] = [];
  const add = (controller: string, file: string, value: string, key: keyof CpuResources) =>
    limits.push({ controller, file, value, origin: `${resources}/cpu/${key}` });
  // A new group has neither: to say so is for one that had them before.
  const counts = (value: number | bigint | undefined) => value !== undefined && (isSet(value) || present !== undefined);

  // The kernel refuses a weight to a group that is idle.
  if (counts(idle)) add('cpu', 'cpu.idle', `${idle}`, 'idle');
  if (isSet(shares) && idle !== 1) add('cpu', 'cpu.weight', `${weightOfShares(Number(shares))}`, 'shares');
  const bandwidth = cpuMax(cpu, present);
  // A burst may not exceed the quota: the quota first where both grow, the burst first where both shrink.
  if (bandwidth !== undefined) limits.push(counts(burst) ? { ...bandwidth, afterNext: true } : bandwidth);
  if (counts(burst)) add('cpu', 'cpu.max.burst', `${burst}`, 'burst');
  if (cpus !== undefined && cpus !== '') add('cpuset', 'cpuset.cpus', cpus, 'cpus');
  if (mems !== undefined && mems !== '') add('cpuset', 'cpuset.mems', mems, 'mems');
  return limits;
}

/** Quota and period go in one write. The kernel keeps the period when only the quota comes, but not the reverse. */
function cpuMax({ quota, period }: CpuResources, present: Present | undefined): Limit | undefined {
  if (!isSet(quota) && !isSet(period)) return undefined;
  const old = present?.['cpu.max']?.split(' ')[0] ?? 'max';
  const budget = isSet(quota) ? (quota > 0 ? `${quota}` : 'max') : old;
  const value = isSet(period) ? `${budget} ${period}` : budget;
  const origin = `${resources}/cpu/${isSet(quota) ? 'quota' : 'period'}`;
  return { controller: 'cpu', file: 'cpu.max', value, origin };
}

/**
 * Shares of version 1 (2 to 262144, usually 1024) as a weight (1 to 10000, usually 100): the curve through those three
 * points that the runtimes agreed on in 2025. The straight line before it made 1024 shares a weight of 39, less than
 * half of what a process outside any container has.
 */
export function weightOfShares(shares: number): number {
  if (shares <= 2) return 1;
  if (shares >= 262144) return 10000;
  const l = Math.log2(shares);
  return Math.ceil(10 ** ((l * l + 125 * l) / 612 - 7 / 34));
}
