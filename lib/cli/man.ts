import { RuntsError } from '../errors.ts';
import type { Command } from './command.ts';
import { commandPage, everyCommand, generalPage } from './manual.ts';

/** `runts man`. */
export const man: Command = {
  synopsis: ['[COMMAND]'],
  text: `Prints the manual page of a command, or of all of it, in roff: for man(1) by \`man -l\`, or to be put into
share/man/man1.`,
  flags: {},
  grammar: { anywhere: true, lenient: true },
  async main({ rest }, { world }) {
    const [verb] = rest;
    const all = await everyCommand();
    const described = all.find((each) => each.verb === verb);
    if (rest.length > 1 || (verb !== undefined && described === undefined)) {
      throw new RuntsError('ERR_SPEC', `"man" takes one command; got ${rest.join(' ')}`, {
        hint: '--help lists the commands.',
      });
    }
    const { name, version } = world;
    world.print(described === undefined ? generalPage(name, version, all) : commandPage(name, version, described));
    return 0;
  },
};
