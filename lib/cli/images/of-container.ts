import type { Command } from '../command.ts';
import { isOn, textOf, textsOf } from '../parse.ts';
import {
  atLeast,
  changeFlag,
  exactly,
  grammar,
  jsonFlag,
  outputFlag,
  outputOf,
  printJson,
  wrongCount,
} from './common.ts';
import { oneLine } from './format.ts';

/** `runts commit`. */
export const commit: Command = {
  synopsis: ['[OPTIONS] CONTAINER [REPOSITORY[:TAG]]'],
  text: `Makes an image of a container: its image, one layer with what it has changed, and its command, variables, user, directory
and labels. The container is one of an image, of run --image or of a program, by its name, its id or the beginning of one.`,
  flags: {
    author: { names: ['--author', '-a'], value: 'TEXT', doc: 'who made it' },
    change: changeFlag,
    message: { names: ['--message', '-m'], value: 'TEXT', doc: 'for the history' },
    pause: { names: ['--pause', '-p'], doc: 'accepted: the container goes on while it is read' },
  },
  grammar,
  async main(parsed, { world }) {
    const [container, reference, ...more] = atLeast('commit', parsed, 1);
    if (more.length > 0) throw wrongCount('commit', 'at most 2 arguments', parsed.rest.length);
    const words = {
      reference,
      author: textOf(parsed, 'author'),
      changes: textsOf(parsed, 'change'),
      message: textOf(parsed, 'message'),
    };
    world.print(`${await (await world.imageVerbs()).commit(container!, words)}\n`);
    return 0;
  },
};

/** `runts export`. */
export const exportCommand: Command = {
  synopsis: ['[OPTIONS] CONTAINER'],
  text: 'Writes the root file system of a container, as it is now, as a tar archive.',
  flags: {
    output: outputFlag,
  },
  grammar,
  async main(parsed, { world }) {
    const [container] = exactly('export', parsed, 1) as [string];
    const path = outputOf('export', parsed, world);
    await (await world.imageVerbs()).export(container, path);
    return 0;
  },
};

/** `runts diff`. */
export const diff: Command = {
  synopsis: ['CONTAINER'],
  text: 'Prints what a container has added (A), changed (C) and deleted (D) of its image.',
  flags: { json: jsonFlag },
  grammar,
  async main(parsed, { world }) {
    const [container] = exactly('diff', parsed, 1) as [string];
    const changes = await (await world.imageVerbs()).changes(container);
    if (isOn(parsed, 'json')) world.print(printJson(changes));
    else world.print(changes.map(({ kind, path }) => `${kind} ${oneLine(path)}\n`).join(''));
    return 0;
  },
};
