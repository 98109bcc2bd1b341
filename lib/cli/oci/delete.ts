import type { Command } from '../command.ts';
import { isOn } from '../parse.ts';
import { interruptible } from '../signals.ts';
import { wrongCount } from './common.ts';

/** `runts delete`. */
export const remove: Command = {
  synopsis: ['[OPTIONS] ID'],
  text: `Removes a container that has stopped or was never started: its cgroup and its state, not its bundle. Its poststop
hooks run.`,
  flags: {
    force: { names: ['--force', '-f'], doc: 'kill it first if it runs; one that does not exist is no error' },
    regex: { names: ['--regex', '-r'], doc: 'ID is a regular expression: each container that it matches' },
  },
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, { world, root, log }) {
    const [id, ...more] = parsed.rest;
    if (id === undefined || more.length > 0) throw wrongCount('delete', 'exactly 1 argument(s): ID', parsed.rest);
    const { removeContainer } = await import('../../host/oci/delete.ts');
    const options = {
      force: isOn(parsed, 'force'),
      warn: (message: string) => log.warn(message),
      interruptible: interruptible(world),
    };
    const ids = isOn(parsed, 'regex') ? await (await import('./match.ts')).everyMatch(world.host, root, id) : [id];
    for (const each of ids) await removeContainer(world.host, root, each, options);
    return 0;
  },
};
