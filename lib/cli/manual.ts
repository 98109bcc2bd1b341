import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { globalFlags } from './globals.ts';
import { helpFlag } from './help.ts';
import type { Flags } from './parse.ts';

/** A command with its name, as pages about all of them need it. */
export interface Described {
  readonly verb: string;
  readonly doc: string;
  readonly command: Command;
}

/** Every command; of the two forms of `run` the one whose help is both's. */
export function everyCommand(): Promise<readonly Described[]> {
  return Promise.all(
    Object.entries(commands).map(async ([verb, { doc, load }]) => ({ verb, doc, command: await load([]) })),
  );
}

/** Text for roff: backslashes, and what would be a request at the beginning of a line. */
const roff = (text: string): string =>
  text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^(['.])/gm, '\\&$1');

const bold = (text: string): string => `\\fB${roff(text)}\\fR`;

/** `runts(1)`. */
export function generalPage(name: string, version: string, all: readonly Described[]): string {
  const list = all.map(({ verb, doc }) => `.TP\n${bold(verb)}\n${roff(doc)}`);
  return page(name, version, [
    section('NAME', `${roff(name)} \\- Open Container Initiative runtime`),
    section('SYNOPSIS', `${bold(name)} [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]`),
    section('COMMANDS', list.join('\n')),
    section('GLOBAL OPTIONS', optionList(globalFlags)),
  ]);
}

/** `runts-create(1)` and its like. */
export function commandPage(name: string, version: string, { verb, doc, command }: Described): string {
  const { synopsis, text, flags, otherFlags } = command;
  return page(`${name}-${verb}`, version, [
    section('NAME', `${roff(`${name}-${verb}`)} \\- ${roff(doc)}`),
    section('SYNOPSIS', synopsis.map((line) => `${bold(`${name} ${verb}`)} ${roff(line)}`.trimEnd()).join('\n.br\n')),
    section('DESCRIPTION', roff(text).replace(/\n\n/g, '\n.PP\n')),
    section('OPTIONS', optionList({ ...flags, ...helpFlag })),
    ...(otherFlags === undefined ? [] : [section(otherFlags.title.toUpperCase(), optionList(otherFlags.flags))]),
  ]);
}

const page = (title: string, version: string, sections: readonly string[]): string =>
  `.TH "${roff(title.toUpperCase())}" 1 "" "runts ${roff(version)}"\n${sections.join('\n')}\n`;

const section = (title: string, body: string): string => `.SH ${title}\n${body}`;

const optionList = (flags: Flags): string =>
  Object.values(flags)
    .map(({ names, value, doc }) => {
      const left = names.map(bold).join(', ') + (value === undefined ? '' : ` \\fI${roff(value)}\\fR`);
      return `.TP\n${left}\n${roff(doc)}`;
    })
    .join('\n');
