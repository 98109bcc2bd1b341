import { RuntsError } from '../errors.ts';
import type { CgroupWrite } from '../plan/plan.ts';
import type { Int64 } from '../spec/types.ts';

/** One write to a control file of the unified hierarchy. */
export type Limit = CgroupWrite;

/** What control files of an existing cgroup hold; none when it is new. */
export type Present = Readonly<Record<string, string>>;

export const resources = '/linux/resources';

/** A number as the kernel reads it; negative ones stand for no limit. */
export const maximum = (value: Int64): string => (value < 0 ? 'max' : String(value));

/** Zero says nothing, as in every other runtime: without memory, or time, a container could not even start. */
export const isSet = (value: Int64 | undefined): value is Int64 => value !== undefined && Number(value) !== 0;

/** For what version 1 had and the unified hierarchy has not. */
export function refuseV1(origin: string, what: string, hint: string): never {
  throw new RuntsError('ERR_UNSUPPORTED', `cannot set ${what}: the unified hierarchy (cgroup v2) has no such limit`, {
    origin: `${resources}/${origin}`,
    hint,
  });
}

/** For limits that contradict each other. */
export function refuseLimit(origin: string, message: string): never {
  const path = `${resources}/${origin}`;
  throw new RuntsError('ERR_SPEC', `cannot limit resources: ${message}`, { origin: path, issues: [{ path, message }] });
}
