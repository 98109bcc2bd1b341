import { spawned } from '../peers.ts';
import type { Row } from '../row.ts';
import { runBundle } from './library.ts';

const atOnce = 8;
const batch = 48;

/** How many containers a second there are when eight are always on their way. */
export const manyAtOnce: Row = {
  key: 'at-once',
  title: `containers a second, ${atOnce} at once`,
  unit: '/s',
  rounds: (runs) => Math.max(3, Math.ceil(runs / 20)),
  subjects: ({ limit, runtime, bundle, peers }) => [
    { name: 'C program', once: async () => (batch * 1000) / (await limit.ms(`batch ${batch} ${atOnce}`)) },
    { name: 'runts', once: () => rate(() => runBundle(runtime, bundle.directory)) },
    ...peers
      .filter(({ every }) => every === 1)
      .map(({ name, missing, command, filter }) => ({
        name,
        missing,
        once: () => rate(() => spawned(command(), filter)),
      })),
  ],
};

async function rate(once: () => Promise<void>): Promise<number> {
  let left = batch;
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) await once();
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return (batch * 1000) / (performance.now() - began);
}
