import type { Issue } from '../errors.ts';
import { anyText, fine, integer, isObject, issuesOf, list, object, record } from './shape.ts';

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
  readonly Healthcheck?: Healthcheck | undefined;
}

/** How the image's maker would find out whether a container works; nothing here runs it. */
export interface Healthcheck {
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty: as the image below has it. */
  readonly Test?: readonly string[] | undefined;
  /** In nanoseconds, as are the other times. */
  readonly Interval?: number | undefined;
  readonly Timeout?: number | undefined;
  readonly StartPeriod?: number | undefined;
  readonly StartInterval?: number | undefined;
  readonly Retries?: number | undefined;
}

const texts = list(anyText);
const count = integer(0, Number.MAX_SAFE_INTEGER);

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
  Healthcheck: object({
    Test: texts,
    ...{ Interval: count, Timeout: count, StartPeriod: count, StartInterval: count, Retries: count },
  }),
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
