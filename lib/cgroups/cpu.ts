import type { CpuResources } from '../spec/types.ts';
import { isSet, type Limit, refuseV1, resources } from './limit.ts';

const defaultPeriod = 100_000;

/** Limits of processor time, and of the processors and memory nodes to use. */
export function cpuLimits(cpu: CpuResources): Limit[] {
  const { shares, quota, burst, period, idle, cpus, mems, realtimePeriod, realtimeRuntime } = cpu;
  if (isSet(realtimePeriod)) refuseV1('cpu/realtimePeriod', 'a real-time period', 'Leave it away.');
  if (isSet(realtimeRuntime)) refuseV1('cpu/realtimeRuntime', 'a real-time budget', 'Leave it away.');
  const limits: Limit[] = [];
  const add = (controller: string, file: string, value: string, key: keyof CpuResources) =>
    limits.push({ controller, file, value, origin: `${resources}/cpu/${key}` });

  // The kernel refuses a weight to a group that is idle.
  if (idle !== undefined) add('cpu', 'cpu.idle', `${idle}`, 'idle');
  if (isSet(shares) && idle !== 1) add('cpu', 'cpu.weight', `${weightOfShares(Number(shares))}`, 'shares');
  if (isSet(quota) || isSet(period)) {
    const budget = isSet(quota) && quota > 0 ? `${quota}` : 'max';
    add('cpu', 'cpu.max', `${budget} ${isSet(period) ? period : defaultPeriod}`, isSet(quota) ? 'quota' : 'period');
  }
  // After the quota, which it may not exceed.
  if (isSet(burst)) add('cpu', 'cpu.max.burst', `${burst}`, 'burst');
  if (cpus !== undefined && cpus !== '') add('cpuset', 'cpuset.cpus', cpus, 'cpus');
  if (mems !== undefined && mems !== '') add('cpuset', 'cpuset.mems', mems, 'mems');
  return limits;
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
