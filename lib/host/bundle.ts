import { RuntsError, specError } from '../errors.ts';
import { type CheckedSpec, checkSpec } from '../spec/check.ts';
import { parseJson, withoutNulls } from '../spec/json.ts';
import { Recent } from '../spec/recent.ts';
import type { Spec } from '../spec/types.ts';
import { errnoOf } from './failure.ts';
import type { Host } from './host.ts';

export interface BundleOptions {
  /** The name of its configuration, below the bundle unless it is absolute; `config.json` unless given. */
  readonly config?: string | undefined;
  /** Hears of what is accepted all the same. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** The configuration of an OCI bundle, checked whole. */
export async function readBundle(
  host: Host,
  directory: string,
  { config = 'config.json', warn }: BundleOptions = {},
): Promise<Spec> {
  const path = config.startsWith('/') ? config : `${directory === '/' ? '' : directory}/${config}`;
  const text = await host.files.read(path, 'strict').catch((error: unknown) => {
    if (RuntsError.is(error)) throw error;
    const missing = errnoOf(error) === 'ENOENT';
    throw new RuntsError(missing ? 'ERR_NOT_FOUND' : 'ERR_SPEC', `cannot read ${path}: ${errnoOf(error) ?? error}`, {
      ...(missing && { hint: 'A bundle is a directory with a config.json (OCI runtime specification).' }),
      cause: error,
    });
  });
  const check = (): Valid => {
    const checked = checkSpec(withoutNulls(parseJson(text, path)));
    if (checked.issues !== undefined) throw specError(`${path} is not valid`, checked.issues);
    return checked;
  };
  const { spec, warnings } = text.length > keptLengthMax ? check() : valid.get(text, check);
  for (const { path: at, message } of warnings) warn?.(`${path}: ${at}: ${message}`);
  return spec;
}

type Valid = Extract<CheckedSpec, { spec: Spec }>;

/** By their text: the same bundle is used again and again. */
const valid = new Recent<Valid>(16);
/** Longer ones are not kept. */
const keptLengthMax = 256 * 1024;
