import type { Container } from '../../lib/index.js';
import type { Row } from '../row.ts';
import { runBundle } from './library.ts';
import { limit } from './limit.ts';

/** Whether a container costs more when there are others. */
export const alive: readonly Row[] = [1, 100, 500].map((count) => ({
  key: `alive-${count}`,
  title: `create to exit, ${count} alive`,
  rounds: (runs) => Math.ceil(runs / 2),
  subjects: async (world) => {
    const { runtime, bundle } = world;
    const others: Container[] = [];
    const close = async (): Promise<void> => {
      for (const other of others) await other.remove({ force: true });
    };
    try {
      while (others.length < count) {
        const options = { bundle: bundle.idle, stdout: 'ignore', stderr: 'ignore' } as const;
        const other = await runtime.createContainer(options);
        others.push(other);
        await other.start();
      }
    } catch (error) {
      await close();
      throw error;
    }
    return [limit(world), { name: 'runts', once: () => runBundle(runtime, bundle.directory), close }];
  },
}));
