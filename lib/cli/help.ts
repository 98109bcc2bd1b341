import type { Command } from './command.ts';
import { commands } from './commands.ts';
import { globalFlags } from './globals.ts';
import { type Flags, flagHelp } from './parse.ts';

/** Every command has it. */
export const helpFlag: Flags = { help: { names: ['--help', '-h', '-?', '--usage'], doc: 'print this' } };

/** `runts --help`. */
export function generalHelp(name: string): string {
  const list = Object.entries(commands).map(([verb, { doc }]) => `  ${verb.padEnd(12)}${doc}`);
  return `NAME:
   ${name} - Open Container Initiative runtime; isolated containers without root and without a daemon

USAGE:
   ${name} [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]

COMMANDS:
${list.join('\n')}

GLOBAL OPTIONS:
${flagHelp(globalFlags)}

${name} COMMAND --help tells about one of them.
`;
}

/** `runts COMMAND --help`. */
export function commandHelp(name: string, verb: string, doc: string, command: Command): string {
  const { synopsis, text, flags, otherFlags } = command;
  const parts = [
    `NAME:\n   ${name} ${verb} - ${doc}`,
    `USAGE:\n${synopsis.map((line) => `   ${name} ${verb}${line === '' ? '' : ` ${line}`}`).join('\n')}`,
    ...(text === '' ? [] : [`DESCRIPTION:\n${indented(text)}`]),
    `OPTIONS:\n${flagHelp({ ...flags, ...helpFlag })}`,
    ...(otherFlags === undefined ? [] : [`${otherFlags.title.toUpperCase()}:\n${flagHelp(otherFlags.flags)}`]),
  ];
  return `${parts.join('\n\n')}\n`;
}

const indented = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line === '' ? '' : `   ${line}`))
    .join('\n');
