import { RuntsError, specError } from '../errors.ts';
import { limits } from './limits.ts';
import type { Op } from './ops.ts';

/** A bug in the policy that built this op. */
export function broken(op: Op, what: string): RuntsError {
  return new RuntsError('ERR_INTERNAL', `op ${op.op} ${what}`, { origin: op.origin });
}

/** The configuration has a value that no program can carry. */
export function badValue(op: Op, what: string): RuntsError {
  return specError(`cannot encode ${op.op}`, [{ path: op.origin, message: what }]);
}

/** The configuration asks for more than a program holds; the op is the first that does not fit. */
export function tooMany(what: string, max: number, op: Op | undefined): RuntsError {
  return specError('the plan is too long', [
    { path: op?.origin ?? '', message: `more than ${max} ${what} in one program` },
  ]);
}

/** Arguments, environment, file contents and all else together are over the limit. */
export function tooBig(op: Op): RuntsError {
  const message = `with this op (${op.op}) the program is over ${limits.programBytesMax} bytes`;
  return specError('the plan is too big', [{ path: op.origin, message }]);
}
