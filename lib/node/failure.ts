import { RuntsError } from '../errors.ts';
import { hintFor, type Place } from '../hints.ts';
import { errnoName, errnoText } from '../program/errno.ts';
import { steps } from '../program/ops.ts';
import type { Failure } from './native.ts';

/** A refusal of the kernel as node:fs has it: `code` is the errno's name. The core adds what was being done, and a hint. */
export interface SystemError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
  readonly path?: string;
}

/** An error with the stack of whoever calls this. */
export function systemError(errno: number, syscall: string, path = ''): SystemError {
  const code = errnoName(errno);
  const error = new Error(`${code}: ${errnoText(errno)}, ${syscall}${path === '' ? '' : ` '${path}'`}`);
  return Object.assign(error, { code, errno: -errno, syscall, ...(path !== '' && { path }) });
}

export const isFailure = (result: unknown): result is Failure =>
  typeof result === 'object' && result !== null && 'errno' in result;

/** The name of the system call that a failure is about. */
export const stepOf = (failure: Failure): string => steps[failure.step] ?? 'op';

/** Passes a native result on; a failure is thrown as a SystemError, of the system call `call` where it names none. */
export function orThrow<T>(result: T | Failure, path?: string, call?: string): T {
  if (isFailure(result)) throw systemError(result.errno, callOf(result, call), path ?? result.detail);
  return result;
}

const callOf = (failure: Failure, call: string | undefined): string =>
  failure.step === 0 && call !== undefined ? call : stepOf(failure);

/** A failure of a primitive as people see it. `doing` follows `cannot`. */
export function setupError(failure: Failure, op: string, doing: string): RuntsError {
  const errno = errnoName(failure.errno);
  const step = stepOf(failure);
  const at = step === 'op' || step === op ? '' : ` (${step}${failure.detail === '' ? '' : ` ${failure.detail}`})`;
  return new RuntsError('ERR_SETUP', `cannot ${doing}: ${errno}, ${errnoText(failure.errno)}${at}`, {
    failure: { index: 0, op, step, errno, detail: failure.detail },
    hint: hintFor({ at: op as Place, step, errno, detail: failure.detail }),
  });
}
