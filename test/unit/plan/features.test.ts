import { expect, test } from 'vitest';
import { features } from '../../../lib/plan/features.ts';
import { mountOptions } from '../../../lib/rootfs/options.ts';

test('every mount option in the features document is a word of ours, and none is left to the file system', () => {
  const { mountOptions: words } = features('1.0.0');
  expect(words.length).toBeGreaterThan(45);
  for (const word of words.filter((each) => !/^(sync|dirsync|mand|lazytime|iversion)$/.test(each))) {
    expect(mountOptions([word]).data, word).toEqual([]);
  }
  expect(mountOptions(['size=5m']).data).toEqual(['size=5m']);
});

test('what is said of seccomp is what profiles are checked by', () => {
  const { seccomp } = features('1.0.0').linux;
  expect(seccomp.actions).toContain('SCMP_ACT_NOTIFY');
  expect(seccomp.operators).toHaveLength(7);
  expect(seccomp.archs).toContain('SCMP_ARCH_X86_64');
  expect(seccomp.supportedFlags).toContain('SECCOMP_FILTER_FLAG_LOG');
});
