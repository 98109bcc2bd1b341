import { expect, test } from 'vitest';
import { compileSeccomp } from '../../../lib/seccomp/compile.ts';
import { defaultProfile } from '../../../lib/seccomp/default.ts';
import { letsJoin } from '../../../lib/seccomp/joins.ts';
import type { Rule, SeccompProfile } from '../../../lib/seccomp/profile.ts';

const joins = (profile: SeccompProfile, arch: 'x64' | 'arm64' = 'x64') =>
  letsJoin(compileSeccomp(profile, { arch }), arch);
const denying = (rule: Partial<Rule>): SeccompProfile => ({
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['setsid'], action: 'SCMP_ACT_ERRNO', ...rule }],
});

test.each(['x64', 'arm64'] as const)('the default profile lets a process arrive with it: %s', (arch) => {
  expect(joins(defaultProfile({ capabilities: [], arch }), arch)).toBe(true);
});

test.each(['setsid', 'clone', 'sendmsg', 'recvmsg', 'close_range', 'execve', 'pipe2'])(
  'a profile that denies %s does not',
  (name) => {
    expect(joins(denying({ names: [name] }))).toBe(false);
  },
);

test('nor does one that asks somebody, and one that looks at the flags of a clone does not if it denies ours', () => {
  expect(joins(denying({ action: 'SCMP_ACT_NOTIFY' }))).toBe(false);
  expect(joins(denying({ action: 'SCMP_ACT_LOG' }))).toBe(true);
  const flag = (value: number) => [{ index: 0, op: 'SCMP_CMP_MASKED_EQ', value, valueTwo: value }] as const;
  expect(joins(denying({ names: ['clone'], args: flag(0x8000) }))).toBe(false);
  expect(joins(denying({ names: ['clone'], args: flag(0x10000000) }))).toBe(true);
});

test('who waits before goes to where it is to be only then, and looks for its command, which a profile may deny', () => {
  for (const name of ['chdir', 'getcwd', 'openat2', 'statx', 'faccessat2']) {
    const filter = compileSeccomp(denying({ names: [name] }), { arch: 'x64' });
    expect([letsJoin(filter, 'x64'), letsJoin(filter, 'x64', true)]).toEqual([true, false]);
  }
  const usual = compileSeccomp(defaultProfile({ capabilities: [], arch: 'arm64' }), { arch: 'arm64' });
  expect(letsJoin(usual, 'arm64', true)).toBe(true);
});
