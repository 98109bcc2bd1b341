import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { type ErrorCode, errorCodes } from '../../lib/error-codes.ts';
import { RuntsError, specError, unreachable } from '../../lib/errors.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');
const codes = Object.keys(errorCodes) as ErrorCode[];

/** The section of a code in docs/errors.md. */
function section(code: string): string {
  return new RegExp(`^## ${code}\n(.*?)(?=^## |(?![\\s\\S]))`, 'ms').exec(page)?.[1] ?? '';
}

test('docs/errors.md has a section for every code, in their order, and for no other', () => {
  const sections = [...page.matchAll(/^## (ERR_\w+)$/gm)].map(([, code]) => code);
  expect(sections).toEqual(codes);
});

test.each(codes)('docs/errors.md says of %s when it comes, with which exit code, and what to do', (code) => {
  const text = section(code);
  expect(text).toContain(`exit code ${errorCodes[code].exit}`);
  expect(text).toMatch(/\*\*When\.\*\* /);
  expect(text).toMatch(/\*\*What to do\.\*\* |Not used yet\./);
});

test('docs/errors.md marks exactly the codes that nothing throws yet', () => {
  const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && name !== 'error-codes.ts')
    .map((name) => readFileSync(join(root, 'lib', name), 'utf8'));
  const unused = codes.filter((code) => !sources.some((text) => text.includes(`'${code}'`)));
  expect(codes.filter((code) => section(code).includes('Not used yet.'))).toEqual(unused);
});

test('an error is known by its brand, also when it comes from another copy of the package', () => {
  const error = new RuntsError('ERR_STATE', 'no');
  const foreign = Object.defineProperty(new Error('no'), Symbol.for('runts.error'), { value: true });
  expect(RuntsError.is(error)).toBe(true);
  expect(RuntsError.is(foreign)).toBe(true);
  for (const other of [new Error('no'), { code: 'ERR_STATE' }, null, undefined, 'ERR_STATE']) {
    expect(RuntsError.is(other)).toBe(false);
  }
  expect(Object.keys(error)).not.toContain('brand');
});

test('an error has the fields it was given and no others', () => {
  const cause = new Error('why');
  const error = new RuntsError('ERR_EXEC', 'no', { hint: 'do', origin: '/process/args/0', exit: 126, cause });
  expect(error).toMatchObject({ name: 'RuntsError', hint: 'do', origin: '/process/args/0', exit: 126 });
  expect(error.cause).toBe(cause);
  expect('issues' in new RuntsError('ERR_EXEC', 'no')).toBe(false);
  expect(new RuntsError('ERR_EXEC', 'no').exit).toBe(127);
});

test('one issue is told on one line, several on a line each', () => {
  const [a, b] = [
    { path: '/env', message: 'must be an object' },
    { path: '', message: 'give one of image, from, rootfs, bundle, host; got none' },
  ];
  expect(specError('cannot run', [a!])).toMatchObject({
    message: 'cannot run: /env: must be an object',
    origin: '/env',
  });
  const both = specError('cannot run', [a!, b!]);
  expect(both.message).toBe(`cannot run:\n  /env: must be an object\n  ${b!.message}`);
  expect(both.issues).toEqual([a, b]);
  expect(both.origin).toBeUndefined();
});

test('a case that a switch forgot is a bug, and says which', () => {
  expect(() => unreachable({ kind: 'new' } as never)).toThrow('unreachable: {"kind":"new"}');
});
