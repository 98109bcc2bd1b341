import { RuntsError, specError } from '../../errors.ts';
import { messageOf } from '../../host/undo.ts';
import type { Context } from '../command.ts';
import { explainInLine } from '../explain.ts';
import { type Flag, isOn, type Parsed, textOf } from '../parse.ts';
import type { Show } from './port.ts';

/** Options may stand between the words, as docker's may. */
export const grammar = { anywhere: true, lenient: true } as const;

export const jsonFlag: Flag = { names: ['--json'], doc: 'as JSON, for programs' };
export const filterFlag = (doc: string): Flag => ({ names: ['--filter', '-f'], value: 'FILTER', repeat: true, doc });

export const changeFlag: Flag = {
  names: ['--change', '-c'],
  value: 'INSTRUCTION',
  repeat: true,
  doc: "of a Dockerfile: 'CMD [\"sh\"]', 'ENV A=1'; may be repeated",
};

export const outputFlag: Flag = {
  names: ['--output', '-o'],
  value: 'PATH',
  doc: 'the file; unless given, standard output',
};

/** Where an archive goes; undefined for standard output, which must not be a terminal. */
export function outputOf(verb: string, parsed: Parsed, { terminal }: Context['world']): string | undefined {
  const path = textOf(parsed, 'output');
  if (path !== undefined || !terminal.output) return path;
  throw specError(verb, [{ path: '', message: 'cowardly refusing to save to a terminal; use --output' }]);
}

/** The words of a command that takes exactly so many. */
export function exactly(verb: string, { rest }: Parsed, count: number): readonly string[] {
  if (rest.length === count) return rest;
  throw wrongCount(verb, `exactly ${count} argument${count === 1 ? '' : 's'}`, rest.length);
}

export function atLeast(verb: string, { rest }: Parsed, count: number): readonly string[] {
  if (rest.length >= count) return rest;
  throw wrongCount(verb, `at least ${count} argument${count === 1 ? '' : 's'}`, rest.length);
}

export function wrongCount(verb: string, wanted: string, got: number): RuntsError {
  return new RuntsError('ERR_SPEC', `"${verb}" requires ${wanted}; got ${got === 0 ? 'none' : got}`, {
    hint: `${verb} --help tells how it is written.`,
  });
}

/** Does the same for each word; what went wrong with one is told, and does not keep the others from it. */
export async function forEach(
  words: readonly string[],
  { world, log }: Context,
  work: (word: string) => Promise<void>,
): Promise<number> {
  let code = 0;
  for (const word of words) {
    try {
      await work(word);
    } catch (error) {
      if (!RuntsError.is(error)) throw error;
      log.error(messageOf(error), `${world.name}: ${explainInLine(error)}`);
      code = 1;
    }
  }
  return code;
}

/** How a transfer is shown: bars where a person looks, lines otherwise, and for programs JSON. */
export function showOf(parsed: Parsed, { world }: Context): Show {
  const { terminal, print } = world;
  const style = isOn(parsed, 'json') ? 'json' : isOn(parsed, 'quiet') ? 'nothing' : terminal.output ? 'bars' : 'lines';
  return { print, style, size: terminal.size };
}

export const printJson = (value: unknown): string => `${JSON.stringify(value)}\n`;
