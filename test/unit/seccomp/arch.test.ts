import { expect, test } from 'vitest';
import { abisOf } from '../../../lib/seccomp/arch.ts';

test('the ABI of the machine comes first, listed or not, and those of other machines are left out', () => {
  expect(abisOf([], 'x64')).toEqual(['x64']);
  expect(abisOf(['SCMP_ARCH_X32', 'SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_ARM'], 'x64')).toEqual([
    'x64',
    'x32',
    'x86',
  ]);
  expect(abisOf(['SCMP_ARCH_ARM', 'SCMP_ARCH_X86', 'SCMP_ARCH_ARM'], 'arm64')).toEqual(['arm64', 'arm']);
});
