import { join } from 'node:path';
import { Answering } from '../lines.ts';
import { packageRoot } from '../paths.ts';
import type { Row, Subject } from '../row.ts';
import type { World } from '../world.ts';
import { limit } from './limit.ts';

const heapMiB = 1024;
const mounts = 1000;
const alone = join(packageRoot, 'dist/bench/alone.js');

/** What should make no difference: how much memory the program has, and how many mounts the machine. */
export const surroundings: Row = {
  key: 'surroundings',
  title: 'create to exit in a process of its own, by its surroundings',
  subjects: async (world) => {
    const node = (heap: number) => [
      process.execPath,
      '--max-old-space-size=6144',
      alone,
      world.bundle.directory,
      `${heap}`,
    ];
    return [
      limit(world),
      await inProcess('runts', node(0)),
      await inProcess(`runts, ${heapMiB} MiB of heap`, node(heapMiB)),
      await withMounts(world, node(0)),
    ];
  },
};

async function inProcess(name: string, [file, ...args]: readonly string[]): Promise<Subject> {
  const process = new Answering(file!, args);
  return { name, once: async () => Number(await process.ask('run')), close: () => process.close() };
}

async function withMounts({ root, limit: { program } }: World, command: readonly string[]): Promise<Subject> {
  const name = `runts, ${mounts} mounts on the host`;
  const missing = 'takes root: the mounts are in a mount namespace of their own';
  if (!root) return { name, missing, once: () => Promise.resolve() };
  return inProcess(name, [program, 'mounts', `${mounts}`, ...command]);
}
