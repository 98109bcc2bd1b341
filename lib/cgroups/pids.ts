import type { Int64 } from '../spec/types.ts';
import { type Limit, resources } from './limit.ts';

/** How many processes and threads there may be. Zero or less is no limit: not even the command could run with none. */
export function pidsLimits({ limit }: { readonly limit: Int64 }): Limit[] {
  const value = limit > 0 ? String(limit) : 'max';
  return [{ controller: 'pids', file: 'pids.max', value, origin: `${resources}/pids/limit` }];
}
