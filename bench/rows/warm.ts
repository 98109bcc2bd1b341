import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { createRuntime, type Runtime } from '../../lib/index.js';
import { buildNow } from '../limit.ts';
import type { Row } from '../row.ts';

/** How long until the command's first instruction, which tells the time: of a container that stands ready, and of another. */
export const warm: Row = {
  key: 'warm',
  title: 'to the first instruction of the command, made ahead or not',
  subjects: ({ runtime, scratch, bundle: { rootfs } }) => {
    buildNow(join(rootfs, 'bin/now'));
    const container = { rootfs, command: ['/bin/now'], stderr: 'ignore' } as const;
    const directories = { root: join(scratch, 'warm'), state: join(scratch, 'warm-state') };
    const ready = createRuntime({ ...directories, warm: [{ size: 1, container }] });
    const times = async (from: Runtime): Promise<Times> => {
      await from.warmed();
      const create = process.hrtime.bigint();
      const made = await from.createContainer(container);
      // Who reads later has missed it.
      const told = text(made.stdout!);
      const start = process.hrtime.bigint();
      await made.start();
      const first = BigInt(await told);
      await made.remove({ force: true });
      return { create: milliseconds(first - create), start: milliseconds(first - start) };
    };
    const since = (from: Runtime, what: keyof Times) => async () => (await times(from))[what];
    return [
      { name: 'runts, create and start', once: since(runtime, 'create') },
      { name: 'runts, start', once: since(runtime, 'start') },
      { name: 'made ahead, create and start', once: since(ready, 'create') },
      { name: 'made ahead, start', once: since(ready, 'start'), close: () => ready[Symbol.asyncDispose]() },
    ];
  },
};

/** Milliseconds until the command's first instruction. */
interface Times {
  readonly create: number;
  readonly start: number;
}

const milliseconds = (nanoseconds: bigint): number => Number(nanoseconds) / 1e6;
