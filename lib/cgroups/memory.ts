import type { MemoryResources } from '../spec/types.ts';
import { isSet, type Limit, maximum, refuseLimit, refuseV1, resources } from './limit.ts';

/** Memory limits. `swap` is memory and swap together, as in version 1; the kernel now wants swap alone. */
export function memoryLimits(memory: MemoryResources): Limit[] {
  refuseOld(memory);
  const limits: Limit[] = [];
  const add = (file: string, value: string, origin: string) =>
    limits.push({ controller: 'memory', file, value, origin: `${resources}/memory/${origin}` });
  const swap = swapAlone(memory);
  // Swap first: were the container to start to swap in between, it would be beyond its limit at once.
  if (swap !== undefined) add('memory.swap.max', maximum(swap), 'swap');
  if (isSet(memory.limit)) add('memory.max', maximum(memory.limit), 'limit');
  if (isSet(memory.reservation)) add('memory.low', maximum(memory.reservation), 'reservation');
  return limits;
}

function swapAlone({ limit, swap }: MemoryResources): bigint | undefined {
  // No limit of memory at all is meant to be none of swap, too.
  if (!isSet(swap)) return limit !== undefined && limit < 0 ? -1n : undefined;
  if (swap < 0) return -1n;
  if (!isSet(limit) || limit < 0)
    return refuseLimit('memory/swap', 'swap is memory and swap together: it needs a memory limit');
  if (swap < limit)
    return refuseLimit('memory/swap', `memory and swap together (${swap}) are less than memory (${limit})`);
  return BigInt(swap) - BigInt(limit);
}

function refuseOld({ kernel, kernelTCP, swappiness, disableOOMKiller }: MemoryResources): void {
  const kernelHint = 'Leave it away: kernel memory counts against the memory limit.';
  if (isSet(kernel) && kernel > 0) refuseV1('memory/kernel', 'a limit of kernel memory', kernelHint);
  if (isSet(kernelTCP) && kernelTCP > 0) refuseV1('memory/kernelTCP', 'a limit of TCP buffers', kernelHint);
  if (swappiness !== undefined) refuseV1('memory/swappiness', 'swappiness', 'Leave it away, or limit swap.');
  if (disableOOMKiller) refuseV1('memory/disableOOMKiller', 'disableOOMKiller', 'Use process.oomScoreAdj.');
}
