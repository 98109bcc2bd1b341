import { type Issue, specError } from '../errors.ts';
import { native } from './native.ts';

/** What an argument must be: how to tell, and what to call it. */
export interface Expectation {
  readonly holds: (value: unknown) => boolean;
  readonly words: string;
}

export const aText: Expectation = {
  holds: (value) => typeof value === 'string' && !value.includes('\0'),
  words: 'a string without NUL',
};
export const texts: Expectation = {
  holds: (value) => Array.isArray(value) && value.every(aText.holds),
  words: 'a list of strings without NUL',
};
export const flags: Expectation = {
  holds: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  words: 'a set of flags',
};
export const aTruth: Expectation = { holds: (value) => typeof value === 'boolean', words: 'true or false' };
export const bytes: Expectation = { holds: (value) => value instanceof Uint8Array, words: 'a Uint8Array' };
export const aHandle: Expectation = {
  holds: (value) => value instanceof native.Handle && value.fd >= 0,
  words: 'an open handle of this runts',
};

/** The same, or nothing. */
export const optional = ({ holds, words }: Expectation): Expectation => ({
  holds: (value) => value === undefined || holds(value),
  words: `${words}, or nothing`,
});

/** Throws ERR_SPEC with all that is wrong about the arguments of a function; an unknown option is wrong too. */
export function checkArguments(name: string, given: unknown, expected: Readonly<Record<string, Expectation>>): void {
  const values = (typeof given === 'object' && given !== null ? given : {}) as Readonly<Record<string, unknown>>;
  const issues: Issue[] = [];
  if (values !== given) issues.push({ path: '', message: `the options are an object, not ${described(given)}` });
  for (const [key, { holds, words }] of Object.entries(expected)) {
    if (!holds(values[key])) issues.push({ path: `/${key}`, message: `is ${words}, not ${described(values[key])}` });
  }
  for (const key of Object.keys(values)) {
    if (!Object.hasOwn(expected, key)) issues.push({ path: `/${key}`, message: 'is no option' });
  }
  if (issues.length > 0) throw specError(`bad arguments for ${name}`, issues);
}

function described(value: unknown): string {
  if (value instanceof native.Handle) return 'a closed handle';
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
