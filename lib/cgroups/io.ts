import type { BlockIoResources, ThrottleDevice } from '../spec/types.ts';
import { type Limit, refuseV1, resources } from './limit.ts';

const throttles = {
  throttleReadBpsDevice: 'rbps',
  throttleWriteBpsDevice: 'wbps',
  throttleReadIOPSDevice: 'riops',
  throttleWriteIOPSDevice: 'wiops',
} as const;

/** Weights and rates of block devices: one write for each, as the kernel wants it. */
export function ioLimits(blockIO: BlockIoResources): Limit[] {
  const { weight, leafWeight, weightDevice = [] } = blockIO;
  if (leafWeight) refuseV1('blockIO/leafWeight', 'leafWeight', 'Leave it away.');
  const limits: Limit[] = [];
  const add = (file: string, value: string, origin: string, or?: Limit['or']) =>
    limits.push({ controller: 'io', file, value, origin: `${resources}/blockIO/${origin}`, ...(or && { or }) });
  // Two schedulers know weights, BFQ in the range of version 1; which of them a device has may differ from device to device.
  const addWeight = (device: string, value: number, origin: string) =>
    add('io.weight', `${device} ${ioWeight(value)}`, origin, [{ file: 'io.bfq.weight', value: `${device} ${value}` }]);

  if (weight) addWeight('default', weight, 'weight');
  weightDevice.forEach((device, i) => {
    if (device.leafWeight) refuseV1(`blockIO/weightDevice/${i}`, 'leafWeight', 'Leave it away.');
    if (device.weight) addWeight(`${device.major}:${device.minor}`, device.weight, `weightDevice/${i}`);
  });
  for (const key of Object.keys(throttles) as (keyof typeof throttles)[]) {
    const devices: readonly ThrottleDevice[] = blockIO[key] ?? [];
    devices.forEach(({ major, minor, rate }, i) => {
      // Zero lifts a limit in version 1; here that word is max.
      const value = rate > 0 ? String(rate) : 'max';
      add('io.max', `${major}:${minor} ${throttles[key]}=${value}`, `${key}/${i}`);
    });
  }
  return limits;
}

/** 10 to 1000 of version 1 as 1 to 10000. */
export const ioWeight = (weight: number): number => Math.trunc(1 + ((weight - 10) * 9999) / 990);
