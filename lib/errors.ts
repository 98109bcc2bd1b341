import { type ErrorCode, errorCodes } from './error-codes.ts';

/** Where the init stopped: op `index` of the plan, and which system call of that op. */
export interface OpFailure {
  /** Of the op in its segment. */
  readonly index: number;
  /** Its name: docs/plan.md. */
  readonly op: string;
  /** What of it failed: a system call, mostly. */
  readonly step: string;
  /** The errno's name: `EPERM`. */
  readonly errno: string;
  /** The string that was being worked on: a path, an option. */
  readonly detail: string;
}

/** One thing that is wrong with what was asked, and where: `/mounts/3/type`. */
export interface Issue {
  /** Where in what was given: a JSON pointer, `/limits/memory`, or an option's name. */
  readonly path: string;
  /** What is wrong there, with the value. */
  readonly message: string;
}

export interface ErrorFields {
  /** Where in the input this comes from, as a JSON pointer: `/mounts/3`. */
  readonly origin?: string | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
  readonly failure?: OpFailure | undefined;
  /** With ERR_SPEC: everything that is wrong, not the first thing only. */
  readonly issues?: readonly Issue[] | undefined;
  /** Exit code for the command line where it is not the code's usual one (126 for a file that is not executable). */
  readonly exit?: number | undefined;
  readonly cause?: unknown;
}

const brand = Symbol.for('runts.error');

/** The one error class: a closed set of codes, and what went wrong as data. */
export class RuntsError extends Error {
  override readonly name: string = 'RuntsError';
  readonly code: ErrorCode;
  // Declared and no more: what an error does not have is no property of it.

  /** What asked for it: a JSON pointer into the options or the configuration. */
  declare readonly origin?: string;
  /** What to do about it. */
  declare readonly hint?: string;
  /** Where the kernel refused an op of the init. */
  declare readonly failure?: OpFailure;
  /** With ERR_SPEC: everything that is wrong, and not only the first. */
  declare readonly issues?: readonly Issue[];
  /** What the command line exits with. */
  readonly exit: number;
  declare readonly cause?: unknown;

  constructor(code: ErrorCode, message: string, fields: ErrorFields = {}) {
    super(message);
    this.code = code;
    this.exit = fields.exit ?? errorCodes[code].exit;
    if (fields.origin !== undefined) this.origin = fields.origin;
    if (fields.hint !== undefined) this.hint = fields.hint;
    if (fields.failure !== undefined) this.failure = fields.failure;
    if (fields.issues !== undefined) this.issues = fields.issues;
    if (fields.cause !== undefined) this.cause = fields.cause;
    Object.defineProperty(this, brand, { value: true });
  }

  /** Holds across realms and across two copies of the package, where `instanceof` does not. */
  static is(value: unknown): value is RuntsError {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true;
  }
}

/** More than a person reads: whoever spoilt a list of thousands has spoilt it in one way. */
const linesMax = 20;

/** An ERR_SPEC that carries every issue; its message lists them, the first twenty, a line each when there are several. */
export function specError(what: string, issues: readonly Issue[]): RuntsError {
  const lines = issues
    .slice(0, linesMax)
    .map((issue) => (issue.path === '' ? issue.message : `${issue.path}: ${issue.message}`));
  if (issues.length > linesMax) lines.push(`and ${issues.length - linesMax} more`);
  const message = lines.length === 1 ? `${what}: ${lines[0]}` : `${what}:\n${lines.map((l) => `  ${l}`).join('\n')}`;
  return new RuntsError('ERR_SPEC', message, { issues, origin: issues.length === 1 ? issues[0]!.path : undefined });
}

/** For the `default` of a switch over a union: a case that was forgotten does not compile. */
export function unreachable(value: never): never {
  throw new RuntsError('ERR_INTERNAL', `unreachable: ${JSON.stringify(value)}`);
}
