import type { Int64 } from '../spec/types.ts';
import { type Limit, resources } from './limit.ts';

/** Limits of huge pages: of those in use, and of those that are reserved for a mapping and not in use yet. */
export function hugetlbLimits(limits: readonly { readonly pageSize: string; readonly limit: Int64 }[]): Limit[] {
  return limits.flatMap(({ pageSize, limit }, i) => {
    const common = { controller: 'hugetlb', value: String(limit), origin: `${resources}/hugepageLimits/${i}` };
    // Before Linux 5.7 reservations were not counted.
    return [
      { ...common, file: `hugetlb.${pageSize}.max` },
      { ...common, file: `hugetlb.${pageSize}.rsvd.max`, optional: true },
    ];
  });
}
