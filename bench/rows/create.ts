import type { Row } from '../row.ts';
import { runBundle } from './library.ts';
import { limit } from './limit.ts';

/** The headline: what a Node program waits for. */
export const create: Row = {
  key: 'create',
  title: 'create to exit of `true`, from a Node program',
  subjects: (world) => [
    limit(world),
    { name: 'runts', once: () => runBundle(world.runtime, world.bundle.directory) },
    ...world.peers.map(({ name, missing, every, command, filter }) => ({
      name,
      missing,
      every,
      once: () => world.spawnedMs(command(), filter),
    })),
  ],
};
