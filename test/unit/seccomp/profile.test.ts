import { expect, test } from 'vitest';
import { hasListener, type SeccompProfile, seccompFlags } from '../../../lib/seccomp/profile.ts';

const profile: SeccompProfile = { defaultAction: 'SCMP_ACT_ALLOW' };
const notifying: SeccompProfile = { ...profile, syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }] };

test('a profile without flags gets SPEC_ALLOW, one with an empty list none', () => {
  expect(seccompFlags(profile)).toBe(0x04);
  expect(seccompFlags({ ...profile, flags: [] })).toBe(0);
});

test('flags are combined', () => {
  expect(seccompFlags({ ...profile, flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_TSYNC'] })).toBe(0x03);
});

test('a rule that notifies asks for a listener', () => {
  expect(hasListener(profile)).toBe(false);
  expect(hasListener(notifying)).toBe(true);
  // An agent that is only told of containers, and asked nothing.
  expect(hasListener({ ...profile, listenerPath: '/agent' })).toBe(true);
  expect(hasListener({ ...profile, listenerPath: '' })).toBe(false);
  expect(seccompFlags({ ...notifying, flags: [] })).toBe(0x08);
});

test('combinations that the kernel refuses are not asked for', () => {
  const flags = ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV', 'SECCOMP_FILTER_FLAG_TSYNC'] as const;
  expect(seccompFlags({ ...profile, flags })).toBe(0x01);
  expect(seccompFlags({ ...notifying, flags })).toBe(0x01 | 0x08 | 0x10 | 0x20);
});
