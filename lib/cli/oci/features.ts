import { stringifyJson } from '../../spec/json.ts';
import type { Command } from '../command.ts';
import { noWords } from './common.ts';

/** `runts features`. */
export const features: Command = {
  synopsis: [''],
  text: `Prints which words of a configuration this runtime knows, as the features document of the OCI runtime specification:
whether this host has what they ask for, \`doctor\` says.`,
  flags: {},
  grammar: { anywhere: true, lenient: true },
  async main(parsed, { world }) {
    noWords('features', parsed);
    const plan = await import('../../plan/features.ts');
    world.print(`${stringifyJson(plan.features(world.version), 4)}\n`);
    return 0;
  },
};
