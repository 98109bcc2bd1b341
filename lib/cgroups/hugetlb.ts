import type { Int64 } from '../spec/types.ts';
import { type Limit, maximum, resources } from './limit.ts';

/** Limits of huge pages, of what is in use. */
export function hugetlbLimits(limits: readonly { readonly pageSize: string; readonly limit: Int64 }[]): Limit[] {
  return limits.map(({ pageSize, limit }, i) => ({
    controller: 'hugetlb',
    file: `hugetlb.${pageSize}.max`,
    value: maximum(limit),
    origin: `${resources}/hugepageLimits/${i}`,
  }));
}
