import { specError } from '../errors.ts';
import type { Command } from './command.ts';
import { globalFlags } from './globals.ts';
import { helpFlag } from './help.ts';
import { type Described, everyCommand } from './manual.ts';
import type { Flag, Flags } from './parse.ts';

const shells = { bash, zsh, fish } as const;
const names = Object.keys(shells) as (keyof typeof shells)[];

/** `runts completion`. */
export const completion: Command = {
  synopsis: [names.join(' | ')],
  text: `Prints completion for a shell. For bash and zsh: eval "$(runts completion bash)" in ~/.bashrc or ~/.zshrc; for fish:
runts completion fish > ~/.config/fish/completions/runts.fish`,
  flags: {},
  grammar: { anywhere: true, lenient: true },
  words: names,
  async main({ rest }, { world }) {
    const shell = names.find((name) => name === rest[0]);
    if (shell === undefined || rest.length > 1) {
      const message = `give one shell of ${names.join(', ')}; got ${rest.join(' ') || 'none'}`;
      throw specError('completion', [{ path: '', message }]);
    }
    world.print(shells[shell](world.name, await everyCommand()));
    return 0;
  },
};

const allFlags = ({ flags, otherFlags }: Command): Flags => ({ ...otherFlags?.flags, ...flags, ...helpFlag });
const flagNames = (flags: Flags): readonly string[] => Object.values(flags).flatMap((flag) => flag.names);
const withValues = (flags: Flags): readonly Flag[] => Object.values(flags).filter(({ value }) => value !== undefined);
const isFile = ({ value }: Flag): boolean => value === 'FILE' || value === 'PATH';
const isDirectory = ({ value }: Flag): boolean => value === 'DIR';
/** Names of functions of a shell. */
const word = (name: string): string => name.replace(/[^A-Za-z0-9_]/g, '_');

// ---- bash, and zsh by its bashcompinit -----------------------------------------------------------------------------------

function bash(name: string, all: readonly Described[]): string {
  const fn = `_${word(name)}`;
  const rows = (flags: Flags, indent: string): string =>
    withValues(flags)
      .map((flag) => `${indent}${flag.names.join('|')}) ${valueWords(flag)}; return;;\n`)
      .join('');
  const verbs = all.map(({ verb, command }) => {
    const flags = allFlags(command);
    return `    ${verb})
      case "$prev" in
${rows(flags, '        ')}      esac
      case "$cur" in
        -*) COMPREPLY=($(compgen -W "${flagNames(flags).join(' ')}" -- "$cur"));;
        *) ${plainWords(name, command)};;
      esac;;
`;
  });
  const takers = withValues(globalFlags).flatMap((flag) => flag.names);
  return `# bash completion for ${name}
${fn}() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}" verb="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "\${COMP_WORDS[i]}" in
      ${takers.join('|')}) ((i++));;
      -*) ;;
      *) verb="\${COMP_WORDS[i]}"; break;;
    esac
  done
  case "$verb" in
    "")
      case "$prev" in
${rows(globalFlags, '        ')}      esac
      case "$cur" in
        -*) COMPREPLY=($(compgen -W "${flagNames(globalFlags).join(' ')}" -- "$cur"));;
        *) COMPREPLY=($(compgen -W "${all.map(({ verb }) => verb).join(' ')}" -- "$cur"));;
      esac;;
${verbs.join('')}  esac
}
complete -F ${fn} ${name}
`;
}

function valueWords(flag: Flag): string {
  if (flag.choices !== undefined) return `COMPREPLY=($(compgen -W "${flag.choices.join(' ')}" -- "$cur"))`;
  if (isFile(flag)) return 'COMPREPLY=($(compgen -f -- "$cur"))';
  if (isDirectory(flag)) return 'COMPREPLY=($(compgen -d -- "$cur"))';
  return ':';
}

function plainWords(name: string, { words }: Command): string {
  if (words === undefined) return ':';
  const list = words === 'containers' ? `$(${name} list -q 2>/dev/null)` : words.join(' ');
  return `COMPREPLY=($(compgen -W "${list}" -- "$cur"))`;
}

function zsh(name: string, all: readonly Described[]): string {
  return `#compdef ${name}\nautoload -U +X bashcompinit && bashcompinit\n${bash(name, all)}`;
}

// ---- fish ----------------------------------------------------------------------------------------------------------------

function fish(name: string, all: readonly Described[]): string {
  const quoted = (text: string): string => `'${text.replace(/\\/g, '\\\\').replace(/'/g, "\\'")}'`;
  const option = (condition: string, flag: Flag): string => {
    const parts = flag.names.map((n) => (n.startsWith('--') ? `-l ${n.slice(2)}` : `-s '${n.slice(1)}'`));
    const needs = flag.value === undefined ? '' : isFile(flag) || isDirectory(flag) ? ' -rF' : ' -x';
    const words = flag.choices === undefined ? '' : ` -a ${quoted(flag.choices.join(' '))}`;
    return `complete -c ${name} -n ${quoted(condition)} ${parts.join(' ')}${needs}${words} -d ${quoted(flag.doc)}`;
  };
  const lines = [`# fish completion for ${name}`, `complete -c ${name} -f`];
  for (const flag of Object.values(globalFlags)) lines.push(option('__fish_use_subcommand', flag));
  for (const { verb, doc, command } of all) {
    const seen = `__fish_seen_subcommand_from ${verb}`;
    lines.push(`complete -c ${name} -n '__fish_use_subcommand' -a ${verb} -d ${quoted(doc)}`);
    for (const flag of Object.values(allFlags(command))) lines.push(option(seen, flag));
    const { words } = command;
    if (words === undefined) continue;
    const list = words === 'containers' ? `(${name} list -q 2>/dev/null)` : words.join(' ');
    lines.push(`complete -c ${name} -n ${quoted(seen)} -a ${quoted(list)}`);
  }
  return `${lines.join('\n')}\n`;
}
