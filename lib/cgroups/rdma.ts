import { pointer } from '../spec/pointer.ts';
import type { RdmaLimit } from '../spec/types.ts';
import { type Limit, resources } from './limit.ts';

/** Limits of RDMA devices: handles and objects of each. */
export function rdmaLimits(devices: Readonly<Record<string, RdmaLimit>>): Limit[] {
  return Object.keys(devices).map((device) => {
    const { hcaHandles, hcaObjects } = devices[device]!;
    const words = [device];
    if (hcaHandles !== undefined) words.push(`hca_handle=${hcaHandles}`);
    if (hcaObjects !== undefined) words.push(`hca_object=${hcaObjects}`);
    const origin = pointer(`${resources}/rdma`, device);
    return { controller: 'rdma', file: 'rdma.max', value: words.join(' '), origin };
  });
}
