import { RuntsError } from '../../errors.ts';
import { nearest } from '../../spec/nearest.ts';
import { hasOwn } from '../../spec/own.ts';
import type { Command } from '../command.ts';
import { grammar } from './common.ts';

/** What may follow `image`; most are commands of their own too. */
const subcommands: Readonly<Record<string, () => Promise<Command>>> = {
  ls: async () => (await import('./list.ts')).images,
  list: async () => (await import('./list.ts')).images,
  inspect: async () => (await import('./inspect.ts')).inspect,
  history: async () => (await import('./inspect.ts')).history,
  pull: async () => (await import('./transfer.ts')).pull,
  push: async () => (await import('./transfer.ts')).push,
  tag: async () => (await import('./change.ts')).tag,
  rm: async () => (await import('./change.ts')).remove,
  remove: async () => (await import('./change.ts')).remove,
  load: async () => (await import('./change.ts')).load,
  save: async () => (await import('./change.ts')).save,
  import: async () => (await import('./change.ts')).importCommand,
  prune: async () => (await import('./change.ts')).prune,
  verify: async () => (await import('./change.ts')).verify,
};

const general: Command = {
  synopsis: ['COMMAND [OPTIONS] [ARGUMENTS]'],
  text: `COMMAND is one of ls (images), inspect, history, pull, push, tag, rm (rmi), load, save, import, prune and verify; image
COMMAND --help tells about each.`,
  flags: {},
  grammar,
  words: Object.keys(subcommands),
  async main() {
    throw new RuntsError('ERR_SPEC', '"image" requires a command', { hint: 'image --help lists them.' });
  },
};

/** `runts image COMMAND`: the command that its first word names, which is no word of its own then. */
export async function imageCommand(words: readonly string[]): Promise<Command> {
  const [name] = words;
  if (name === undefined || name.startsWith('-')) return general;
  const load = hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (load === undefined) {
    const close = nearest(name, Object.keys(subcommands));
    throw new RuntsError('ERR_SPEC', `there is no command "image ${name}"`, {
      hint: close === undefined ? 'image --help lists them.' : `Did you mean ${close}?`,
    });
  }
  const command = await load();
  return {
    ...command,
    synopsis: command.synopsis.map((line) => `${name} ${line}`.trimEnd()),
    main: (parsed, context) => command.main({ ...parsed, rest: parsed.rest.slice(1) }, context),
  };
}
