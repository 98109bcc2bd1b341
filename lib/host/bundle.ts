import { RuntsError, specError } from '../errors.ts';
import { checkSpec } from '../spec/check.ts';
import { parseJson } from '../spec/json.ts';
import type { Spec } from '../spec/types.ts';
import { errnoOf } from './failure.ts';
import type { Host } from './host.ts';

/** The configuration of an OCI bundle, checked whole. */
export async function readBundle(host: Host, directory: string): Promise<Spec> {
  const path = `${directory}/config.json`;
  const text = await host.files.read(path).catch((error: unknown) => {
    const missing = errnoOf(error) === 'ENOENT';
    throw new RuntsError(missing ? 'ERR_NOT_FOUND' : 'ERR_SPEC', `cannot read ${path}: ${errnoOf(error) ?? error}`, {
      ...(missing && { hint: 'A bundle is a directory with a config.json (OCI runtime specification).' }),
      cause: error,
    });
  });
  const checked = checkSpec(parseJson(text, path));
  if (checked.issues !== undefined) throw specError(`${path} is not valid`, checked.issues);
  return checked.spec;
}
