import type { Int64 } from '../spec/types.ts';
import { type Limit, maximum, resources } from './limit.ts';

/** How many processes and threads there may be. Zero is a limit (nothing can be started), -1 is none. */
export function pidsLimits({ limit }: { readonly limit: Int64 }): Limit[] {
  return [{ controller: 'pids', file: 'pids.max', value: maximum(limit), origin: `${resources}/pids/limit` }];
}
