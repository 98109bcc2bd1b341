import { type Issue, specError } from '../errors.ts';
import { nearest } from '../spec/nearest.ts';

/** One option of a command. */
export interface Flag {
  /** `--env`, and its short form if it has one: `-e`. */
  readonly names: readonly string[];
  /** What its value is called in the help; without one it is a switch. */
  readonly value?: string;
  /** May be given several times. */
  readonly repeat?: true;
  readonly doc: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** What was given: switches as true, values as text, repeatable ones as a list. */
export interface Parsed {
  readonly given: Readonly<Record<string, true | string | readonly string[]>>;
  /** What follows the options: from the first word that is none, or after `--`. */
  readonly rest: readonly string[];
}

/** Reads options by a table, as runc and docker do: they end at the first word that is none. Everything wrong is told. */
export function parseFlags(command: string, argv: readonly string[], flags: Flags): Parsed {
  const given: Record<string, true | string | string[]> = {};
  const issues: Issue[] = [];
  const byName = new Map(
    Object.entries(flags).flatMap(([key, flag]) => flag.names.map((n) => [n, { key, flag }] as const)),
  );
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] as string;
    if (word === '--' || word === '-' || !word.startsWith('-')) break;
    for (const { name, inline } of options(word, byName)) {
      const found = byName.get(name);
      if (found === undefined) {
        issues.push({ path: '', message: unknownFlag(name, [...byName.keys()]) });
        continue;
      }
      const { key, flag } = found;
      if (flag.value === undefined) {
        if (inline !== undefined)
          issues.push({ path: '', message: `${name} takes no value, got ${JSON.stringify(inline)}` });
        given[key] = true;
        continue;
      }
      const value = inline ?? argv[++at];
      if (value === undefined) issues.push({ path: '', message: `${name} needs a value: ${name} ${flag.value}` });
      else if (flag.repeat) given[key] = [...((given[key] as string[] | undefined) ?? []), value];
      else if (given[key] !== undefined) issues.push({ path: '', message: `${name} is given twice` });
      else given[key] = value;
    }
  }
  if (issues.length > 0) throw specError(command, issues);
  return { given, rest: argv.slice(argv[at] === '--' ? at + 1 : at) };
}

/** `--name=value` apart, and `-it` as `-i -t` where every letter is an option. */
function options(word: string, byName: ReadonlyMap<string, unknown>): { name: string; inline: string | undefined }[] {
  const equals = word.indexOf('=');
  if (word.startsWith('--')) {
    return [
      { name: equals < 0 ? word : word.slice(0, equals), inline: equals < 0 ? undefined : word.slice(equals + 1) },
    ];
  }
  const letters = [...word.slice(1)].map((letter) => `-${letter}`);
  if (letters.length > 1 && letters.every((name) => byName.has(name))) {
    return letters.map((name) => ({ name, inline: undefined }));
  }
  return [{ name: equals < 0 ? word : word.slice(0, equals), inline: equals < 0 ? undefined : word.slice(equals + 1) }];
}

function unknownFlag(name: string, names: readonly string[]): string {
  const close = nearest(name, names);
  return `unknown option ${name}${close === undefined ? '' : `; did you mean ${close}?`}`;
}

/** The options of a command as lines of help. */
export function flagHelp(flags: Flags): string {
  return Object.values(flags)
    .map(({ names, value, doc }) => {
      const left = [...names].sort((a, b) => a.length - b.length).join(', ') + (value === undefined ? '' : ` ${value}`);
      return left.length > 26 ? `  ${left}\n${' '.repeat(30)}${doc}` : `  ${left.padEnd(28)}${doc}`;
    })
    .join('\n');
}
