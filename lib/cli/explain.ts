import { RuntsError } from '../errors.ts';
import { messageOf } from '../host/undo.ts';

/** An error for a person: its message, and what to do about it. Never a stack: that is for bugs, and ours carry a code. */
export function explain(error: unknown): string {
  if (!RuntsError.is(error)) return `internal error: ${messageOf(error)}`;
  const { message, hint } = error;
  return [message, ...place(error).map((p) => `  ${p}`), ...(hint === undefined ? [] : [`  hint: ${hint}`])].join('\n');
}

/** The same for a program that reads lines: engines show one, and suites count them. */
export function explainInLine(error: unknown): string {
  if (!RuntsError.is(error)) return inLine(`internal error: ${messageOf(error)}`);
  // What a shell, too, would say and no more: the command is not there, or is no program.
  if (error.code === 'ERR_EXEC') return inLine(error.message.split('\n')[0]!);
  const { message, hint } = error;
  return `${inLine([message, ...place(error)].join('\n'))}${hint === undefined ? '' : ` (${inLine(hint)})`}`;
}

/** What was refused is named by its place in the configuration: nobody has its fields in mind. */
function place({ origin, message }: RuntsError): string[] {
  return origin?.startsWith('/') && !message.includes(origin) ? [`at config ${origin}`] : [];
}

const inLine = (text: string): string => text.trim().replace(/([:;,])?\n\s*/g, (_, end?: string) => `${end ?? ';'} `);
