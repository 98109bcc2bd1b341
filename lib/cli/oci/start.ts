import type { Command } from '../command.ts';
import { interruptible } from '../signals.ts';
import { onlyId } from './common.ts';

/** `runts start`. */
export const start: Command = {
  synopsis: ['ID'],
  text: 'Starts the command of a container that `create` has made.',
  flags: {},
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, { world, root, log }) {
    const id = onlyId('start', parsed);
    const oci = await import('../../host/oci/start.ts');
    await oci.start(world.host, root, id, {
      warn: (message) => log.warn(message),
      interruptible: interruptible(world),
    });
    return 0;
  },
};
