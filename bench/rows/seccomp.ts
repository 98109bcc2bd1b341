import type { Row } from '../row.ts';
import { runBundle } from './library.ts';
import { limit } from './limit.ts';

/** What the filter costs. */
export const seccomp: Row = {
  key: 'seccomp',
  title: 'create to exit, with and without a seccomp filter',
  subjects: (world) => [
    limit(world),
    { ...limit(world, 'unfiltered'), name: 'C program, no filter' },
    { name: 'runts', once: () => runBundle(world.runtime, world.bundle.directory) },
    { name: 'runts, no filter', once: () => runBundle(world.runtime, world.bundle.unfiltered) },
  ],
};
