import { RuntsError } from '../errors.ts';
import { errnoOf, isWithheld, usedUp, withheld } from '../host/failure.ts';
import { messageOf } from '../host/undo.ts';

/** An error for a person: its message, and what to do about it. Never a stack: that is for bugs, and ours carry a code. */
export function explain(error: unknown): string {
  if (!RuntsError.is(error)) {
    const { message, hint } = unforeseen(error);
    return [message, ...(hint === undefined ? [] : [`  hint: ${hint}`])].join('\n');
  }
  const { message, hint } = error;
  return [message, ...place(error).map((p) => `  ${p}`), ...(hint === undefined ? [] : [`  hint: ${hint}`])].join('\n');
}

/** The same for a program that reads lines: engines show one, and suites count them. */
export function explainInLine(error: unknown): string {
  if (!RuntsError.is(error)) {
    const { message, hint } = unforeseen(error);
    return `${inLine(message)}${hint === undefined ? '' : ` (${hint})`}`;
  }
  // What a shell, too, would say and no more: the command is not there, or is no program.
  if (error.code === 'ERR_EXEC') return inLine(error.message.split('\n')[0]!);
  const { message, hint } = error;
  return `${inLine([message, ...place(error)].join('\n'))}${hint === undefined ? '' : ` (${inLine(hint)})`}`;
}

/** What the kernel refused where nobody expected it to: the host is short of something that every program needs. */
function unforeseen(error: unknown): { readonly message: string; readonly hint?: string | undefined } {
  const errno = errnoOf(error);
  if (errno === undefined) return { message: `internal error: ${messageOf(error)}` };
  const noProc = errno === 'ENOENT' && messageOf(error).includes("'/proc/");
  const { syscall: step, path: detail = '' } = error as { readonly syscall?: string; readonly path?: string };
  const refusal = isWithheld({ errno, step, detail }) ? withheld(step, detail) : usedUp(errno);
  const hint = noProc ? '/proc must be mounted: mount -t proc proc /proc' : refusal;
  return { message: `cannot go on: ${messageOf(error)}`, hint };
}

/** What was refused is named by its place in the configuration: nobody has its fields in mind. */
function place({ origin, message }: RuntsError): string[] {
  return origin?.startsWith('/') && !message.includes(origin) ? [`at config ${origin}`] : [];
}

const inLine = (text: string): string => text.trim().replace(/([:;,])?\n\s*/g, (_, end?: string) => `${end ?? ';'} `);
