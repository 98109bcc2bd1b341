import { specError } from '../../errors.ts';
import { didYouMean } from '../../spec/nearest.ts';
import { signalNames, signalNumber } from '../../spec/signals.ts';
import type { Command } from '../command.ts';
import { isOn } from '../parse.ts';
import { wrongCount } from './common.ts';

/** `runts kill`. */
export const kill: Command = {
  synopsis: ['[OPTIONS] ID [SIGNAL]'],
  text: `Sends a signal to the first process of a container: TERM unless another one is given, by name (KILL, SIGKILL,
RTMIN+3) or number.`,
  flags: {
    all: { names: ['--all', '-a'], doc: 'to every process of the container' },
    regex: { names: ['--regex', '-r'], doc: 'ID is a regular expression: to each container that it matches' },
  },
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, { world, root }) {
    const [id, word = 'TERM', ...more] = parsed.rest;
    if (id === undefined || more.length > 0) throw wrongCount('kill', 'ID and at most one SIGNAL', parsed.rest);
    const signal = signalNumber(word);
    if (signal === undefined) {
      const full = word.toUpperCase().replace(/^(SIG)?/, 'SIG');
      const message = `unknown signal ${JSON.stringify(word)}${didYouMean(full, signalNames)}`;
      throw specError('kill', [{ path: '', message }]);
    }
    const { killContainer } = await import('../../host/oci/kill.ts');
    const ids = isOn(parsed, 'regex') ? await (await import('./match.ts')).everyMatch(world.host, root, id) : [id];
    for (const each of ids) await killContainer(world.host, root, each, signal, { all: isOn(parsed, 'all') });
    return 0;
  },
};
