import { describe, expect, test } from 'vitest';
import { type Abi, parseNumbers, syscallNumbers, words } from '../../../lib/seccomp/syscalls.ts';

test('names without a number count on from the one before', () => {
  expect([...parseNumbers('3 a b 9 c 9 d')]).toEqual([
    ['a', 3],
    ['b', 4],
    ['c', 9],
    ['d', 9],
  ]);
  expect(words(' a\n b ')).toEqual(['a', 'b']);
});

describe('the tables', () => {
  const abis: readonly Abi[] = ['x64', 'x86', 'x32', 'arm64', 'arm'];

  test.each([
    ['x64', { read: 0, openat: 257, clone3: 435, uretprobe: 335, file_setattr: 469 }],
    ['x86', { read: 3, socketcall: 102, socket: 359, clock_gettime64: 403, file_setattr: 469 }],
    ['x32', { read: 0, ioctl: 514, execve: 520, pwritev2: 547, file_setattr: 469 }],
    ['arm64', { read: 63, openat: 56, clone: 220, clone3: 435, file_setattr: 469 }],
    ['arm', { read: 3, cacheflush: 0xf0002, set_tls: 0xf0005, futex_time64: 422, file_setattr: 469 }],
  ] as const)('%s has the numbers of the kernel', (abi, numbers) => {
    for (const [name, number] of Object.entries(numbers))
      expect(`${name} ${syscallNumbers(abi).get(name)}`).toBe(`${name} ${number}`);
  });

  test('x32 has x86_64 calls under their own numbers, without those that it lacks', () => {
    const x32 = syscallNumbers('x32');
    expect(x32.get('openat')).toBe(257);
    expect(x32.has('uselib')).toBe(false);
    expect(x32.has('map_shadow_stack')).toBe(false);
  });

  test.each(abis)('%s has every call since 5.1 under the number that all architectures share', (abi) => {
    const numbers = syscallNumbers(abi);
    for (const [name, number] of syscallNumbers('arm64')) {
      // Neither shadow stacks on x32 nor secret memory on 32-bit ARM.
      if (number < 424 || !numbers.has(name)) continue;
      expect(`${name} ${numbers.get(name)}`).toBe(`${name} ${number}`);
    }
    expect([...numbers.values()].filter((number) => number >= 424 && number <= 469).length).toBeGreaterThanOrEqual(45);
  });

  test('a table is parsed once', () => {
    expect(syscallNumbers('x64')).toBe(syscallNumbers('x64'));
  });
});
