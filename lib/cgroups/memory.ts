import type { Int64, MemoryResources } from '../spec/types.ts';
import { isSet, type Limit, maximum, type Present, refuseLimit, refuseV1, resources } from './limit.ts';

/** Memory limits. `swap` is memory and swap together, as in version 1; the kernel now wants swap alone. */
export function memoryLimits(memory: MemoryResources, present?: Present): Limit[] {
  refuseOld(memory);
  const limit = (file: string, value: string, origin: string): Limit => ({
    controller: 'memory',
    file,
    value,
    origin: `${resources}/memory/${origin}`,
  });
  const alone = swapAlone(memory, present);
  const swap = alone === undefined ? [] : [swapLimit(maximum(alone), limit)];
  const size = isSet(memory.limit) ? [limit('memory.max', maximum(memory.limit), 'limit')] : [];
  const low = isSet(memory.reservation) ? [limit('memory.low', maximum(memory.reservation), 'reservation')] : [];
  // What no longer fits into memory goes to swap: the limit of swap comes first where it grows, last where it shrinks.
  const before = present?.['memory.swap.max'];
  const shrinks = before !== undefined && alone !== undefined && isLess(maximum(alone), before.trim());
  return shrinks ? [...size, ...swap, ...low] : [...swap, ...size, ...low];
}

function swapLimit(value: string, limit: (file: string, value: string, origin: string) => Limit): Limit {
  const write = limit('memory.swap.max', value, 'swap');
  // A kernel that counts no swap lets none be limited; there is none to be had, or none was to be limited.
  return value === 'max' || value === '0' ? { ...write, optional: true } : write;
}

function swapAlone({ limit, swap }: MemoryResources, present: Present | undefined): bigint | undefined {
  // No limit of memory at all is meant to be none of swap, too.
  if (!isSet(swap)) return limit !== undefined && limit < 0 ? -1n : undefined;
  if (swap < 0) return -1n;
  const size = isSet(limit) ? limit : presentLimit(present);
  if (size === undefined || size < 0)
    return refuseLimit('memory/swap', 'swap is memory and swap together: it needs a memory limit');
  if (swap < size)
    return refuseLimit('memory/swap', `memory and swap together (${swap}) are less than memory (${size})`);
  return BigInt(swap) - BigInt(size);
}

function presentLimit(present: Present | undefined): Int64 | undefined {
  const text = present?.['memory.max']?.trim();
  return text !== undefined && /^\d+$/.test(text) ? BigInt(text) : undefined;
}

const isLess = (a: string, b: string): boolean => a !== 'max' && (b === 'max' || BigInt(a) < BigInt(b));

function refuseOld({ kernel, kernelTCP, swappiness, disableOOMKiller }: MemoryResources): void {
  const kernelHint = 'Leave it away: kernel memory counts against the memory limit.';
  if (isSet(kernel) && kernel > 0) refuseV1('memory/kernel', 'a limit of kernel memory', kernelHint);
  if (isSet(kernelTCP) && kernelTCP > 0) refuseV1('memory/kernelTCP', 'a limit of TCP buffers', kernelHint);
  if (swappiness !== undefined) refuseV1('memory/swappiness', 'swappiness', 'Leave it away, or limit swap.');
  if (disableOOMKiller) refuseV1('memory/disableOOMKiller', 'disableOOMKiller', 'Use process.oomScoreAdj.');
}
