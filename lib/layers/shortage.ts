import { RuntsError } from '../errors.ts';
import { usedUp } from '../hints.ts';

const short: readonly unknown[] = ['EMFILE', 'ENFILE', 'ENOMEM'];

/** Whether something failed for want of descriptors or memory, which says nothing of what was to be read. */
export function isShortage(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (short.includes((at as NodeJS.ErrnoException).code)) return true;
  }
  return false;
}

/** What could not be read for want of something. */
export function cannotRead(path: string, cause: NodeJS.ErrnoException): RuntsError {
  const hint = cause.code === undefined ? undefined : usedUp(cause.code);
  return new RuntsError('ERR_SETUP', `cannot read ${path}: ${cause.code}`, { cause, hint });
}
