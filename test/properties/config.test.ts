// Any configuration: one that is right but for some changes, or any JSON at all.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { planContainer } from '../../lib/plan/container.ts';
import { encode } from '../../lib/program/encode.ts';
import { verify } from '../../lib/program/verify.ts';
import { checkSpec } from '../../lib/spec/check.ts';
import { parsePointer } from '../../lib/spec/pointer.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { facts, request } from '../plans/requests.ts';
import { full } from '../unit/spec/full.ts';
import { anything, changedFrom } from './documents.ts';
import { runs } from './runs.ts';

/** Whether a pointer leads to something, or to a field that is missing where there could be one. */
function leads(document: unknown, path: string): boolean {
  const keys = parsePointer(path);
  let at = document;
  for (const key of keys ?? []) {
    if (at === undefined || at === null) return true;
    if (typeof at !== 'object') return false;
    at = (at as Record<string, unknown>)[key];
  }
  return keys !== undefined;
}

test('the checker throws nothing, and names places of what it was given', () => {
  fc.assert(
    fc.property(fc.oneof(anything, changedFrom(full)), (value) => {
      const checked = checkSpec(value);
      const paths = 'issues' in checked && checked.issues !== undefined ? checked.issues.map(({ path }) => path) : [];
      expect(paths.filter((path) => !leads(value, path))).toEqual([]);
    }),
    runs(1500),
  );
});

test('what the checker accepts becomes a plan that both sides accept, or is refused in a sentence', () => {
  let plans = 0;
  const ordinary = () => request().spec as unknown;
  fc.assert(
    fc.property(changedFrom(ordinary), fc.constantFrom('root', 'rootless', 'single-id'), (value, where) => {
      const checked = checkSpec(value);
      if ('issues' in checked && checked.issues !== undefined) return;
      let program: Uint8Array;
      try {
        program = encode(planContainer({ ...request(), spec: value as Spec }, facts(where as 'root')).segment);
      } catch (error) {
        if (RuntsError.is(error)) return;
        throw error;
      }
      plans++;
      expect(verify(program)).toBe(undefined);
    }),
    runs(600),
  );
  expect(plans).toBeGreaterThan(0);
});
