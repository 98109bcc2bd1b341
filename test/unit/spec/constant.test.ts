import { expect, test } from 'vitest';
import { constant, isConstant } from '../../../lib/spec/constant.ts';
import { specFromOptions } from '../../../lib/spec/from-options.ts';
import { issuesOf, list, once, oneOf } from '../../../lib/spec/shape.ts';

const profile = () =>
  constant({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: [{ names: ['read'], action: 'SCMP_ACT_ALLOW' }] });

test('nothing in a constant can be changed, however deep it is', () => {
  const value = profile();
  expect(() => value.syscalls[0]!.names.push('write')).toThrow(TypeError);
  expect(isConstant(value) && isConstant(value.syscalls[0]!.names)).toBe(true);
  expect(isConstant(Object.freeze({}))).toBe(false);
});

test('containers share a profile that is a constant, and whoever edits the configuration has a copy', () => {
  const seccomp = profile();
  expect(specFromOptions({ command: ['x'] }, { seccomp }).linux.seccomp).toBe(seccomp);
  const { linux } = specFromOptions(
    {
      command: ['x'],
      spec: (spec) => void (spec.linux.seccomp!.syscalls as unknown[]).pop(),
    },
    { seccomp },
  );
  expect(linux.seccomp?.syscalls).toEqual([]);
  expect(seccomp.syscalls).toHaveLength(1);
});

test('a constant is checked until nothing is wrong with it, and what is no constant each time', () => {
  let looks = 0;
  const words = list(oneOf(['a'], 'word'));
  const check = once((value, path, report) => {
    looks++;
    words(value, path, report);
  });
  const [right, wrong, loose] = [constant(['a']), constant(['b']), ['a']];
  for (const value of [right, wrong, loose]) {
    const expected = value === wrong ? ['/0'] : [];
    for (let i = 0; i < 3; i++) expect(issuesOf(value, check).map(({ path }) => path)).toEqual(expected);
  }
  expect(looks).toBe(1 + 3 + 3);
});
