import { expect, test } from 'vitest';
import type { SeccompProfile } from '../../../lib/seccomp/profile.ts';
import { profileIssues } from '../../../lib/seccomp/validate.ts';

/** The paths of what is wrong with a profile that may have anything in it. */
function paths(profile: unknown): string[] {
  return profileIssues(profile as SeccompProfile).map((issue) => issue.path);
}

const rule = { names: ['read'], action: 'SCMP_ACT_ALLOW' };
const withRule = (fields: object) => ({ defaultAction: 'SCMP_ACT_ERRNO', syscalls: [rule, { ...rule, ...fields }] });
const withCondition = (fields: object) => withRule({ args: [{ index: 0, value: 1, op: 'SCMP_CMP_EQ', ...fields }] });

test('a sound profile has no issues', () => {
  expect(paths(withCondition({ value: 0xffffffffffffffffn, valueTwo: 0 }))).toEqual([]);
  const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_LOONGARCH64'];
  expect(paths({ defaultAction: 'SCMP_ACT_TRACE', defaultErrnoRet: 65535, architectures })).toEqual([]);
});

test.each<[string, unknown, string[]]>([
  ['an unknown action', withRule({ action: 'SCMP_ACT_MAYBE' }), ['/linux/seccomp/syscalls/1/action']],
  ['a property of every object', withRule({ action: 'toString' }), ['/linux/seccomp/syscalls/1/action']],
  ['an unknown default', { defaultAction: 'ALLOW' }, ['/linux/seccomp/defaultAction']],
  ['notifying by default', { defaultAction: 'SCMP_ACT_NOTIFY' }, ['/linux/seccomp/defaultAction']],
  ['an errno for an action without', withRule({ errnoRet: 1 }), ['/linux/seccomp/syscalls/1/errnoRet']],
  [
    'an errno that Linux has not',
    withRule({ action: 'SCMP_ACT_ERRNO', errnoRet: 4096 }),
    ['/linux/seccomp/syscalls/1/errnoRet'],
  ],
  ['a negative errno', withRule({ action: 'SCMP_ACT_ERRNO', errnoRet: -1 }), ['/linux/seccomp/syscalls/1/errnoRet']],
  ['a default errno', { defaultAction: 'SCMP_ACT_ALLOW', defaultErrnoRet: 1 }, ['/linux/seccomp/defaultErrnoRet']],
  ['no names', withRule({ names: [] }), ['/linux/seccomp/syscalls/1/names']],
  [
    'notifying of sendmsg',
    withRule({ names: ['read', 'sendmsg'], action: 'SCMP_ACT_NOTIFY' }),
    ['/linux/seccomp/syscalls/1/names/1'],
  ],
  [
    'notifying of write',
    withRule({ names: ['write', 'read'], action: 'SCMP_ACT_NOTIFY' }),
    ['/linux/seccomp/syscalls/1/names/0'],
  ],
  ['a seventh argument', withCondition({ index: 6 }), ['/linux/seccomp/syscalls/1/args/0/index']],
  ['half an argument', withCondition({ index: 0.5 }), ['/linux/seccomp/syscalls/1/args/0/index']],
  ['an unknown operator', withCondition({ op: 'SCMP_CMP_LIKE' }), ['/linux/seccomp/syscalls/1/args/0/op']],
  ['a negative value', withCondition({ value: -1 }), ['/linux/seccomp/syscalls/1/args/0/value']],
  ['65 bits', withCondition({ valueTwo: 1n << 64n }), ['/linux/seccomp/syscalls/1/args/0/valueTwo']],
  ['a number that has lost digits', withCondition({ value: 2 ** 53 }), ['/linux/seccomp/syscalls/1/args/0/value']],
  [
    'an unknown architecture',
    { ...withRule({}), architectures: ['SCMP_ARCH_X86', 'amd64'] },
    ['/linux/seccomp/architectures/1'],
  ],
  ['an unknown flag', { ...withRule({}), flags: ['SECCOMP_FILTER_FLAG_FAST'] }, ['/linux/seccomp/flags/0']],
  ['metadata for nobody', { ...withRule({}), listenerMetadata: 'x' }, ['/linux/seccomp/listenerMetadata']],
])('%s is reported by its path', (_, profile, expected) => {
  expect(paths(profile)).toEqual(expected);
});

test('everything that is wrong is reported at once', () => {
  expect(paths({ defaultAction: '', flags: ['x'], syscalls: [{ names: [], action: 'y' }] })).toHaveLength(4);
});
