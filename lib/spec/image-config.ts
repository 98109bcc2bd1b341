import type { Issue } from '../errors.ts';
import { anyText, fine, isObject, issuesOf, list, object, record } from './shape.ts';

/** The `config` of an image: what its maker wants to be run, and how. Empty and null are as good as absent. */
export interface ImageConfig {
  readonly Env?: readonly string[] | undefined;
  readonly Cmd?: readonly string[] | undefined;
  readonly Entrypoint?: readonly string[] | undefined;
  readonly WorkingDir?: string | undefined;
  readonly User?: string | undefined;
  readonly StopSignal?: string | undefined;
  readonly ExposedPorts?: Readonly<Record<string, unknown>> | undefined;
  readonly Volumes?: Readonly<Record<string, unknown>> | undefined;
  readonly Labels?: Readonly<Record<string, string>> | undefined;
}

const texts = list(anyText);

const fields = {
  Env: texts,
  Cmd: texts,
  Entrypoint: texts,
  WorkingDir: anyText,
  User: anyText,
  StopSignal: anyText,
  ExposedPorts: record(fine),
  Volumes: record(fine),
  Labels: record(anyText),
} as const;

/** An image's `config`, reduced to the fields above, or everything that is wrong with it. */
export function checkImageConfig(
  value: unknown,
): { readonly config: ImageConfig; readonly issues?: undefined } | { readonly issues: readonly Issue[] } {
  const config: Record<string, unknown> = {};
  if (isObject(value)) {
    // Docker writes null for a list or map that is empty.
    for (const key of Object.keys(fields))
      if (value[key] !== null && value[key] !== undefined) config[key] = value[key];
  }
  const issues = issuesOf(isObject(value) ? config : (value ?? {}), object(fields));
  return issues.length > 0 ? { issues } : { config: config as ImageConfig };
}
