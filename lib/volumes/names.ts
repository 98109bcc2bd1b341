import { randomBytes } from 'node:crypto';
import { RuntsError } from '../errors.ts';

const pattern = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** What a directory entry can have. */
const charactersMax = 255;

/** Docker's rule for names of volumes, which are names of directories here. */
export function checkVolumeName(name: unknown): string {
  if (typeof name === 'string' && pattern.test(name) && name.length <= charactersMax) return name;
  throw new RuntsError('ERR_SPEC', `${JSON.stringify(name)} is not a name for a volume`, {
    hint: `A name has 1 to ${charactersMax} letters, digits, "_", "." and "-", and begins with a letter or digit; a directory of the host is a bind, and has a path.`,
  });
}

/** The name of a volume that nobody has named. */
export const newVolumeName = (): string => randomBytes(32).toString('hex');
