import type { Command } from '../command.ts';
import { onlyId } from './common.ts';

/** `runts pause`. */
export const pause: Command = {
  synopsis: ['ID'],
  text: 'Stops all processes of a container where they are, by the freezer of its cgroup, until `resume`.',
  flags: {},
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, { world, root }) {
    const id = onlyId('pause', parsed);
    const { pauseContainer } = await import('../../host/oci/pause.ts');
    await pauseContainer(world.host, root, id);
    return 0;
  },
};

/** `runts resume`. */
export const resume: Command = {
  ...pause,
  text: 'Lets all processes of a container that was paused go on.',
  async main(parsed, { world, root }) {
    const id = onlyId('resume', parsed);
    const { resumeContainer } = await import('../../host/oci/pause.ts');
    await resumeContainer(world.host, root, id);
    return 0;
  },
};
