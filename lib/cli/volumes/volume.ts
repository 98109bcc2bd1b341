import { type Issue, RuntsError, specError } from '../../errors.ts';
import { nearest } from '../../spec/nearest.ts';
import { hasOwn } from '../../spec/own.ts';
import type { Command } from '../command.ts';
import { atLeast, filterFlag, forEach, grammar, jsonFlag, printJson, wrongCount } from '../images/common.ts';
import { dockerTable, fillTemplate, humanSize, oneLine } from '../images/format.ts';
import { isOn, textOf, textsOf } from '../parse.ts';
import type { ShownVolume } from './port.ts';

const formatFlag = {
  names: ['--format'],
  value: 'TEMPLATE',
  doc: "as in '{{.Name}}: {{.Mountpoint}}' or '{{json .}}'",
} as const;

const create: Command = {
  synopsis: ['[OPTIONS] [VOLUME]'],
  text: `Makes a volume and prints its name; one that has this name, driver and options already is as good. The local driver has
docker's options: type=tmpfs with o=size=64m, or type=none with o=bind and device=DIRECTORY.`,
  flags: {
    driver: { names: ['--driver', '-d'], value: 'NAME', doc: 'local (default), or the name of a volume plugin' },
    options: { names: ['--opt', '-o'], value: 'NAME=VALUE', repeat: true, doc: 'for the driver; may be repeated' },
    labels: { names: ['--label'], value: 'KEY[=VALUE]', repeat: true, doc: 'kept with it; may be repeated' },
    name: { names: ['--name'], value: 'NAME', doc: 'instead of VOLUME' },
    json: jsonFlag,
  },
  grammar,
  async main(parsed, { world }) {
    const [word, ...more] = parsed.rest;
    if (more.length > 0) throw wrongCount('volume create', 'at most 1 argument', parsed.rest.length);
    const given = textOf(parsed, 'name');
    if (word !== undefined && given !== undefined && word !== given) {
      throw specError('volume create', [{ path: '', message: 'conflicting options: either specify --name or VOLUME' }]);
    }
    const issues: Issue[] = [];
    const options = pairs('--opt', textsOf(parsed, 'options'), issues);
    const labels = pairs('--label', textsOf(parsed, 'labels'), issues);
    if (issues.length > 0) throw specError('volume create', issues);
    const words = { name: word ?? given, driver: textOf(parsed, 'driver'), options, labels };
    const volume = await (await world.volumeVerbs()).create(words);
    world.print(isOn(parsed, 'json') ? printJson(volume) : `${volume.Name}\n`);
    return 0;
  },
};

/** An option needs a value; a label may do without. */
function pairs(flag: string, words: readonly string[], issues: Issue[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf('=');
      if (at === 0 || (at < 0 && flag === '--opt')) {
        issues.push({ path: flag, message: `wants NAME=VALUE, got ${JSON.stringify(word)}` });
      }
      return at < 0 ? [word, ''] : [word.slice(0, at), word.slice(at + 1)];
    }),
  );
}

const list: Command = {
  synopsis: ['[OPTIONS]'],
  text: 'Prints the volumes that are here, and those that volume plugins have.',
  flags: {
    filter: filterFlag('dangling=true, driver=NAME, name=PART, label=KEY[=VALUE], label!=KEY; may be repeated'),
    format: { ...formatFlag, doc: `a line for each, ${formatFlag.doc}; or table, json` },
    quiet: { names: ['--quiet', '-q'], doc: 'only the names' },
    json: { ...jsonFlag, doc: 'all of it as one list of JSON' },
  },
  grammar,
  async main(parsed, { world, log }) {
    if (parsed.rest.length > 0) throw wrongCount('volume ls', 'no arguments', parsed.rest.length);
    const { volumes, warnings } = await (await world.volumeVerbs()).list(textsOf(parsed, 'filter'));
    for (const warning of warnings) log.warn(warning);
    const format = textOf(parsed, 'format') ?? 'table';
    const rows = volumes.map(row);
    if (isOn(parsed, 'json')) world.print(printJson(volumes));
    else if (isOn(parsed, 'quiet')) world.print(volumes.map(({ Name }) => `${oneLine(Name)}\n`).join(''));
    else if (format === 'json') world.print(rows.map(printJson).join(''));
    else if (format !== 'table') world.print(rows.map((each) => `${fillTemplate(format, each)}\n`).join(''));
    else
      world.print(dockerTable([['DRIVER', 'VOLUME NAME'], ...rows.map(({ Driver, Name }) => [Driver, oneLine(Name)])]));
    return 0;
  },
};

/** As docker's template has it: labels as one text. */
const row = ({ Name, Driver, Scope, Mountpoint, Labels, Containers }: ShownVolume) => ({
  ...{ Name, Driver, Scope, Mountpoint },
  Labels: Object.entries(Labels)
    .map(([key, value]) => (value === '' ? key : `${key}=${value}`))
    .join(','),
  Links: String(Containers.length),
});

const inspect: Command = {
  synopsis: ['[OPTIONS] VOLUME [VOLUME …]'],
  text: 'Prints all that is known of volumes as JSON.',
  flags: { format: { ...formatFlag, names: ['--format', '-f'] } },
  grammar,
  async main(parsed, context) {
    const { world } = context;
    const names = atLeast('volume inspect', parsed, 1);
    const verbs = await world.volumeVerbs();
    const found: ShownVolume[] = [];
    const code = await forEach(names, context, async (name) => void found.push(await verbs.inspect(name)));
    const format = textOf(parsed, 'format');
    if (format === undefined) world.print(`${JSON.stringify(found, null, 4)}\n`);
    else world.print(found.map((volume) => `${fillTemplate(format, volume)}\n`).join(''));
    return code;
  },
};

const remove: Command = {
  synopsis: ['[OPTIONS] VOLUME [VOLUME …]'],
  text: 'Removes volumes, and what is in them. One that a container uses stays.',
  flags: {
    force: {
      names: ['--force', '-f'],
      doc: 'one that is not there is no error, and one whose driver fails is forgotten',
    },
  },
  grammar,
  main: (parsed, context) =>
    forEach(atLeast('volume rm', parsed, 1), context, async (name) => {
      await (await context.world.volumeVerbs()).remove(name, isOn(parsed, 'force'));
      context.world.print(`${name}\n`);
    }),
};

const prune: Command = {
  synopsis: ['[OPTIONS]'],
  text: `Removes volumes of the local driver that no container uses: those that nobody has named, with --all every one. Without
--force it asks, where there is a terminal to ask at.`,
  flags: {
    all: { names: ['--all', '-a'], doc: 'also those that have a name' },
    force: { names: ['--force', '-f'], doc: 'do not ask' },
    filter: { ...filterFlag('label=KEY[=VALUE], label!=KEY[=VALUE], all=1; may be repeated'), names: ['--filter'] },
    json: jsonFlag,
  },
  grammar,
  async main(parsed, { world }) {
    if (parsed.rest.length > 0) throw wrongCount('volume prune', 'no arguments', parsed.rest.length);
    if (!isOn(parsed, 'force') && world.terminal.input) {
      const what = isOn(parsed, 'all') ? 'all volumes' : 'volumes without a name';
      world.print(`WARNING! This will remove ${what} that no container uses.\nAre you sure? Then say so by --force.\n`);
      return 0;
    }
    const verbs = await world.volumeVerbs();
    const { removed, bytes } = await verbs.prune(isOn(parsed, 'all'), textsOf(parsed, 'filter'));
    if (isOn(parsed, 'json')) world.print(printJson({ removed, bytes }));
    else {
      const head = removed.length === 0 ? '' : `Deleted Volumes:\n${removed.map((name) => `${name}\n`).join('')}\n`;
      world.print(`${head}Total reclaimed space: ${humanSize(bytes)}\n`);
    }
    return 0;
  },
};

const subcommands: Readonly<Record<string, Command>> = { create, ls: list, list, inspect, rm: remove, remove, prune };

const general: Command = {
  synopsis: ['COMMAND [OPTIONS] [ARGUMENTS]'],
  text: 'COMMAND is one of create, ls, inspect, rm and prune; volume COMMAND --help tells about each.',
  flags: {},
  grammar,
  words: Object.keys(subcommands),
  async main() {
    throw new RuntsError('ERR_SPEC', '"volume" requires a command', { hint: 'volume --help lists them.' });
  },
};

/** `runts volume COMMAND`: the command that its first word names, which is no word of its own then. */
export function volumeCommand(words: readonly string[]): Command {
  const [name] = words;
  if (name === undefined || name.startsWith('-')) return general;
  const command = hasOwn(subcommands, name) ? subcommands[name] : undefined;
  if (command === undefined) {
    const close = nearest(name, Object.keys(subcommands));
    throw new RuntsError('ERR_SPEC', `there is no command "volume ${name}"`, {
      hint: close === undefined ? 'volume --help lists them.' : `Did you mean ${close}?`,
    });
  }
  return {
    ...command,
    synopsis: command.synopsis.map((line) => `${name} ${line}`.trimEnd()),
    main: (parsed, context) => command.main({ ...parsed, rest: parsed.rest.slice(1) }, context),
  };
}
