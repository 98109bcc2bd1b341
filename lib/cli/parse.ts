import { type Issue, specError } from '../errors.ts';
import { nearest } from '../spec/nearest.ts';

/** One option of a command. */
export interface Flag {
  /** `--env`, and its short form if it has one: `-e`. */
  readonly names: readonly string[];
  /** What its value is called in the help; without one it is a switch. */
  readonly value?: string;
  /** The words that its value can be, for completion. */
  readonly choices?: readonly string[];
  /** May be given several times. */
  readonly repeat?: true;
  /** Of a switch that is on anyhow: why it cannot be turned off. `--rm=true` is written for it, too. */
  readonly always?: string;
  readonly doc: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** How the words of a command are read; docker's way unless said otherwise. */
export interface Grammar {
  /** Options may stand between and after other words: what runc and crun allow where no command of a user follows. */
  readonly anywhere?: true;
  /**
   * As the parsers of runc and crun read: of an option that is given twice the last one counts, a switch may be
   * `--keep=false`, `-root` is `--root`, and `-u1000` is `-u 1000`.
   */
  readonly lenient?: true;
}

/** What was given: switches as true, values as text, repeatable ones as a list. */
export interface Parsed {
  readonly given: Readonly<Record<string, true | string | readonly string[]>>;
  /** The words that are no options: from the first one on, or after `--`. */
  readonly rest: readonly string[];
}

interface Found {
  readonly key: string;
  readonly flag: Flag;
}

/** An option as it stands on the line. */
interface Written {
  readonly name: string;
  readonly inline: string | undefined;
}

/** Reads options by a table. Everything that is wrong is told. */
export function parseFlags(command: string, argv: readonly string[], flags: Flags, grammar: Grammar = {}): Parsed {
  const given: Record<string, true | string | string[]> = {};
  const issues: Issue[] = [];
  const wrong = (message: string): void => void issues.push({ path: '', message });
  const rest: string[] = [];
  let at = 0;
  for (; at < argv.length; at++) {
    const word = argv[at] as string;
    if (word === '--') break;
    if (word === '-' || !word.startsWith('-')) {
      if (!grammar.anywhere) break;
      rest.push(word);
      continue;
    }
    for (const { name, inline } of options(word, flags, grammar)) {
      const found = find(flags, name);
      if (found === undefined) {
        wrong(
          unknownFlag(
            name,
            Object.values(flags).flatMap(({ names }) => names),
          ),
        );
        continue;
      }
      const { key, flag } = found;
      if (flag.value === undefined) {
        const { always } = flag;
        const on = switched(inline, always === undefined ? grammar : { lenient: true });
        if (on === undefined) wrong(`${name} takes no value, got ${JSON.stringify(inline)}`);
        else if (on) given[key] = true;
        else if (always !== undefined) wrong(`${name} cannot be turned off: ${always}`);
        else delete given[key];
        continue;
      }
      const value = inline ?? argv[++at];
      if (value === undefined) wrong(`${name} needs a value: ${name} ${flag.value}`);
      else if (flag.repeat) given[key] = [...((given[key] as string[] | undefined) ?? []), value];
      else if (given[key] !== undefined && !grammar.lenient) wrong(`${name} is given twice`);
      else given[key] = value;
    }
  }
  if (issues.length > 0) throw specError(command, issues);
  return { given, rest: [...rest, ...argv.slice(argv[at] === '--' ? at + 1 : at)] };
}

/** Whether a switch is on; undefined where its value is no such thing. */
function switched(inline: string | undefined, { lenient }: Grammar): boolean | undefined {
  if (inline === undefined) return true;
  if (!lenient || !/^(1|t|true|0|f|false)$/i.test(inline)) return undefined;
  return /^(1|t|true)$/i.test(inline);
}

/** A command has dozens of options, and few are given: no table of all their names is made. */
function find(flags: Flags, name: string): Found | undefined {
  for (const key of Object.keys(flags)) {
    const flag = flags[key] as Flag;
    if (flag.names.includes(name)) return { key, flag };
  }
  return undefined;
}

/** `--name=value` apart, and `-it` as `-i -t` where every letter is an option. */
function options(word: string, flags: Flags, { lenient }: Grammar): Written[] {
  const has = (name: string): boolean => find(flags, name) !== undefined;
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  const plain: Written = { name, inline: equals < 0 ? undefined : word.slice(equals + 1) };
  if (word.startsWith('--') || has(name)) return [plain];
  const letters = [...word.slice(1)].map((letter) => `-${letter}`);
  if (letters.length > 1 && letters.every(has)) {
    return letters.map((letter) => ({ name: letter, inline: undefined }));
  }
  if (!lenient) return [plain];
  if (has(`-${name}`)) return [{ ...plain, name: `-${name}` }];
  const attached = find(flags, word.slice(0, 2))?.flag.value !== undefined;
  return [attached ? { name: word.slice(0, 2), inline: word.slice(2) } : plain];
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

/** The text of an option that is given once. */
export function textOf({ given }: Parsed, key: string): string | undefined {
  const value = given[key];
  return typeof value === 'string' ? value : undefined;
}

/** The texts of an option that may be given several times. */
export function textsOf({ given }: Parsed, key: string): readonly string[] {
  const value = given[key];
  return typeof value === 'object' ? value : [];
}

/** Whether a switch is on. */
export const isOn = ({ given }: Parsed, key: string): boolean => given[key] === true;
