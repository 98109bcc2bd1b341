import { RuntsError, specError } from '../../errors.ts';
import type { Flags, Parsed } from '../parse.ts';
import { textOf } from '../parse.ts';

/** The one ID of a command that takes nothing else. */
export function onlyId(verb: string, { rest }: Parsed): string {
  if (rest.length === 1) return rest[0]!;
  throw wrongCount(verb, 'exactly 1 argument(s): ID', rest);
}

/** Refuses words where a command takes none. */
export function noWords(verb: string, { rest }: Parsed): void {
  if (rest.length > 0) throw wrongCount(verb, 'no arguments', rest);
}

export function wrongCount(verb: string, wanted: string, rest: readonly string[]): RuntsError {
  const got = rest.length === 0 ? 'none' : rest.join(' ');
  return new RuntsError('ERR_SPEC', `"${verb}" requires ${wanted}; got ${got}`, {
    hint: `${verb} --help tells how it is written.`,
  });
}

/** One of the words that the table of flags has for an option; `otherwise` where it is not given. */
export function choice(parsed: Parsed, flags: Flags, key: string, otherwise: string): string {
  const value = textOf(parsed, key);
  const { choices = [], names } = flags[key]!;
  if (value === undefined) return otherwise;
  if (choices.includes(value)) return value;
  const path = String(names[0]);
  const message = `must be one of ${choices.join(', ')}, not ${JSON.stringify(value)}`;
  throw specError('invalid format option', [{ path, message }]);
}

/** A count, written as digits only. */
export function count(parsed: Parsed, key: string, name: string, most: number): number {
  const text = textOf(parsed, key);
  if (text === undefined || text === '') return 0;
  if (/^[0-9]{1,10}$/.test(text) && Number(text) <= most) return Number(text);
  throw specError('invalid options', [
    { path: name, message: `must be a whole number from 0 to ${most}, not ${JSON.stringify(text)}` },
  ]);
}

/** Columns as wide as what is in them, three spaces apart, like those that engines' users know. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, i) => Math.max(...rows.map((row) => row[i]!.length)) + 3);
  const width = (i: number) => Math.max(12, widths[i]!);
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(width(i)))
          .join('')
          .trimEnd()}\n`,
    )
    .join('');
}
