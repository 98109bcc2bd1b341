import { spawned } from '../peers.ts';
import type { Row, Subject } from '../row.ts';
import type { World } from '../world.ts';
import { runBundle } from './library.ts';

/** How much of the time of the only JavaScript thread a container takes. */
export const busy: Row = {
  key: 'thread-busy',
  title: 'JavaScript thread busy, per container',
  subjects: (world) => contenders(world, busyMs),
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

/** A turn of an event loop that has nothing to do is shorter. */
const workMs = 0.02;

const busyMs = async (once: () => Promise<void>): Promise<number> =>
  (await turns(once)).filter((ms) => ms > workMs).reduce((sum, ms) => sum + ms, 0);

const longestMs = async (once: () => Promise<void>): Promise<number> =>
  (await turns(once)).reduce((most, ms) => Math.max(most, ms), 0);

/**
 * How long each turn of the event loop takes meanwhile, when it never sleeps. (What Node.js calls its utilization counts the
 * time that it sleeps as work where children end.)
 */
async function turns(once: () => Promise<void>): Promise<number[]> {
  const found: number[] = [];
  let last = performance.now();
  let done = false;
  const look = (): void => {
    const now = performance.now();
    found.push(now - last);
    last = now;
    if (!done) setImmediate(look);
  };
  setImmediate(look);
  await once();
  done = true;
  look();
  return found;
}
