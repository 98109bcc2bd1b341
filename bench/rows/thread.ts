import { spawned } from '../peers.ts';
import type { Row, Subject } from '../row.ts';
import type { World } from '../world.ts';
import { runBundle } from './library.ts';

/** How much of the time of the only JavaScript thread a container takes. */
export const busy: Row = {
  key: 'thread-busy',
  title: 'JavaScript thread busy, per container',
  subjects: (world) => contenders(world, activeMs),
};

/** How long something else may have to wait for it: the longest stretch at a time. */
export const blocked: Row = {
  key: 'thread-blocked',
  title: 'JavaScript thread blocked at a time, per container',
  subjects: (world) => contenders(world, longestMs),
};

function contenders(
  { runtime, bundle, peers }: World,
  measure: (once: () => Promise<void>) => Promise<number>,
): Subject[] {
  return [
    { name: 'runts', once: () => measure(() => runBundle(runtime, bundle.directory)) },
    ...peers
      .filter(({ every }) => every === 1)
      .map(({ name, missing, command, filter }) => ({
        name: `${name}, spawned`,
        missing,
        once: () => measure(() => spawned(command(), filter)),
      })),
  ];
}

async function activeMs(once: () => Promise<void>): Promise<number> {
  const before = performance.eventLoopUtilization();
  await once();
  return performance.eventLoopUtilization(before).active;
}

/** Looks at the clock in every turn of the event loop. */
async function longestMs(once: () => Promise<void>): Promise<number> {
  let longest = 0;
  let last = performance.now();
  let done = false;
  const look = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!done) setImmediate(look);
  };
  setImmediate(look);
  await once();
  done = true;
  look();
  return longest;
}
