import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { callsOf, type NativeArch } from '../../../lib/seccomp/arch.ts';
import { compileSeccomp } from '../../../lib/seccomp/compile.ts';
import { defaultProfile } from '../../../lib/seccomp/default.ts';
import {
  type Action,
  actions,
  type Condition,
  operators,
  type Rule,
  type SeccompProfile,
} from '../../../lib/seccomp/profile.ts';
import { type Abi, syscallNumbers } from '../../../lib/seccomp/syscalls.ts';
import { simulate } from '../../support/bpf.ts';
import { literally } from '../../support/literal-profile.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const KILL_PROCESS = 0x80000000;

const X86_64 = 0xc000003e;
const I386 = 0x40000003;

function verdict(profile: SeccompProfile, name: string, args: readonly bigint[] = [], abi: Abi = 'x64'): number {
  const arch: NativeArch = abi === 'arm64' || abi === 'arm' ? 'arm64' : 'x64';
  const nr = callsOf[abi].base + syscallNumbers(abi).get(name)!;
  return simulate(compileSeccomp(profile, { arch }), { arch: callsOf[abi].audit, nr, args });
}

function listing(rules: readonly Rule[], fields: Partial<SeccompProfile> = {}): SeccompProfile {
  return { defaultAction: 'SCMP_ACT_ERRNO', syscalls: rules, ...fields };
}

const allow = (names: string[], args?: readonly Condition[]): Rule => ({ names, action: 'SCMP_ACT_ALLOW', args });

describe('actions', () => {
  test.each<[Action, number | undefined, number]>([
    ['SCMP_ACT_KILL', undefined, 0],
    ['SCMP_ACT_KILL_THREAD', undefined, 0],
    ['SCMP_ACT_KILL_PROCESS', undefined, 0x80000000],
    ['SCMP_ACT_TRAP', undefined, 0x00030000],
    ['SCMP_ACT_ERRNO', undefined, 0x00050001],
    ['SCMP_ACT_ERRNO', 0, 0x00050000],
    ['SCMP_ACT_ERRNO', 4095, 0x00050fff],
    ['SCMP_ACT_NOTIFY', undefined, 0x7fc00000],
    ['SCMP_ACT_TRACE', undefined, 0x7ff00001],
    ['SCMP_ACT_TRACE', 65535, 0x7ff0ffff],
    ['SCMP_ACT_LOG', undefined, 0x7ffc0000],
    ['SCMP_ACT_ALLOW', undefined, 0x7fff0000],
  ])('%s with errno %s returns what seccomp(2) has for it', (action, errnoRet, value) => {
    const rules: Rule[] = [{ names: ['chdir'], action, errnoRet }];
    expect(verdict(listing(rules, { defaultErrnoRet: 77 }), 'chdir')).toBe(value);
    if (action === 'SCMP_ACT_NOTIFY') return;
    const byDefault: SeccompProfile = { defaultAction: action, defaultErrnoRet: errnoRet };
    expect(verdict(byDefault, 'chdir')).toBe(value);
  });
});

describe('several rules for one call', () => {
  const first = [{ index: 0, op: 'SCMP_CMP_EQ', value: 1 }] as const;
  const second = [{ index: 1, op: 'SCMP_CMP_EQ', value: 2 }] as const;

  test('each may let it through', () => {
    const profile = listing([allow(['ioctl'], first), allow(['ioctl'], second)]);
    expect(verdict(profile, 'ioctl', [1n, 0n])).toBe(ALLOW);
    expect(verdict(profile, 'ioctl', [0n, 2n])).toBe(ALLOW);
    expect(verdict(profile, 'ioctl', [2n, 1n])).toBe(EPERM);
  });

  test('the first without conditions decides, wherever it stands', () => {
    const kill: Rule = { names: ['ioctl'], action: 'SCMP_ACT_KILL_PROCESS' };
    expect(verdict(listing([allow(['ioctl'], first), kill, allow(['ioctl'])]), 'ioctl', [1n])).toBe(KILL_PROCESS);
  });

  test('a rule that does what the default does is as if it were not there', () => {
    const same: Rule = { names: ['ioctl'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 };
    expect(verdict(listing([same, allow(['ioctl'])]), 'ioctl')).toBe(ALLOW);
  });
});

test('conditions that name an argument twice are alternatives', () => {
  const args: Condition[] = [
    { index: 0, op: 'SCMP_CMP_EQ', value: 1 },
    { index: 0, op: 'SCMP_CMP_EQ', value: 3 },
    { index: 1, op: 'SCMP_CMP_EQ', value: 9 },
  ];
  const profile = listing([allow(['ioctl'], args)]);
  expect([[1n], [3n], [2n, 9n]].map((list) => verdict(profile, 'ioctl', list))).toEqual([ALLOW, ALLOW, ALLOW]);
  expect(verdict(profile, 'ioctl', [2n])).toBe(EPERM);
});

describe('other architectures', () => {
  const profile = listing([allow(['read', 'execve', 'file_setattr'])]);

  test('a call of one that is not listed kills the process', () => {
    const filter = compileSeccomp(profile, { arch: 'x64' });
    expect(simulate(filter, { arch: I386, nr: 3 })).toBe(KILL_PROCESS);
    expect(simulate(filter, { arch: 0xc00000b7, nr: 63 })).toBe(KILL_PROCESS);
    expect(simulate(filter, { arch: X86_64, nr: 0x40000000 })).toBe(KILL_PROCESS);
    expect(simulate(filter, { arch: X86_64, nr: 0xfffffffe })).toBe(KILL_PROCESS);
  });

  test('a call that a tracer has cancelled does not', () => {
    expect(simulate(compileSeccomp(profile, { arch: 'x64' }), { arch: X86_64, nr: 0xffffffff })).toBe(EPERM);
  });

  test('x32 and i386 are decided by their own numbers when listed', () => {
    const both = { ...profile, architectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] as const };
    const filter = compileSeccomp(both, { arch: 'x64' });
    expect(simulate(filter, { arch: X86_64, nr: 0x40000000 })).toBe(ALLOW);
    expect(simulate(filter, { arch: X86_64, nr: 0x40000000 + 520 })).toBe(ALLOW);
    expect(simulate(filter, { arch: X86_64, nr: 0x40000000 + 59 })).toBe(EPERM);
    expect(simulate(filter, { arch: X86_64, nr: 59 })).toBe(ALLOW);
    expect(simulate(filter, { arch: X86_64, nr: 520 })).toBe(ENOSYS);
    expect(simulate(filter, { arch: I386, nr: 3 })).toBe(ALLOW);
    expect(simulate(filter, { arch: I386, nr: 0 })).toBe(EPERM);
  });

  test('arm64 and its 32-bit calls, private ones too', () => {
    const arm = listing([allow(['read', 'set_tls'])], { architectures: ['SCMP_ARCH_ARM'] });
    expect(verdict(arm, 'read', [], 'arm64')).toBe(ALLOW);
    expect(verdict(arm, 'set_tls', [], 'arm')).toBe(ALLOW);
    expect(verdict(arm, 'cacheflush', [], 'arm')).toBe(ENOSYS);
    // set_tls has a number far above, which must not make a profile look new.
    expect(verdict(arm, 'mseal', [], 'arm')).toBe(ENOSYS);
  });
});

describe('socketcall on i386', () => {
  const architectures = ['SCMP_ARCH_X86'] as const;
  const alg = [{ index: 0, op: 'SCMP_CMP_EQ', value: 38 }] as const;

  test('is forbidden what is forbidden to the call itself', () => {
    const rules: Rule[] = [{ names: ['socket'], action: 'SCMP_ACT_ERRNO', args: alg }];
    const profile = listing(rules, { defaultAction: 'SCMP_ACT_ALLOW', architectures });
    expect(verdict(profile, 'socket', [38n], 'x86')).toBe(EPERM);
    expect(verdict(profile, 'socket', [2n], 'x86')).toBe(ALLOW);
    expect(verdict(profile, 'socketcall', [1n], 'x86')).toBe(EPERM);
    expect(verdict(profile, 'socketcall', [2n], 'x86')).toBe(ALLOW);
  });

  test('is not a way around the conditions of a call', () => {
    const profile = listing([allow(['socket'], alg), allow(['bind'])], { architectures });
    expect(verdict(profile, 'socketcall', [1n], 'x86')).toBe(EPERM);
    expect(verdict(profile, 'socketcall', [2n], 'x86')).toBe(ALLOW);
  });
});

describe('calls newer than the profile', () => {
  test.each(['SCMP_ACT_ERRNO', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_TRAP'] as const)(
    'get ENOSYS under %s',
    (defaultAction) => {
      const profile = listing([allow(['mseal'])], { defaultAction });
      expect(verdict(profile, 'lsm_list_modules')).not.toBe(ENOSYS);
      expect(verdict(profile, 'mseal')).toBe(ALLOW);
      expect(verdict(profile, 'setxattrat')).toBe(ENOSYS);
      expect(simulate(compileSeccomp(profile, { arch: 'x64' }), { arch: X86_64, nr: 100_000 })).toBe(ENOSYS);
    },
  );

  test.each(['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'] as const)('are left to %s', (defaultAction) => {
    const profile: SeccompProfile = { defaultAction, syscalls: [{ names: ['read'], action: 'SCMP_ACT_ERRNO' }] };
    expect(verdict(profile, 'mseal')).not.toBe(ENOSYS);
  });

  test('are those after the newest that any rule names, also one that changes nothing', () => {
    const profile = listing([allow(['read']), { names: ['mseal'], action: 'SCMP_ACT_ERRNO' }]);
    expect(verdict(profile, 'mseal')).toBe(EPERM);
    expect(verdict(profile, 'setxattrat')).toBe(ENOSYS);
  });

  test('cannot be told in a profile that names nothing', () => {
    expect(verdict(listing([allow(['no_such_call'])]), 'mseal')).toBe(EPERM);
  });
});

describe('refusals', () => {
  test('everything that is wrong comes in one ERR_SPEC with paths', () => {
    const profile = listing([{ names: ['read'], action: 'ALLOW' as Action }], { flags: ['FAST' as never] });
    const error = caught(() => compileSeccomp(profile, { arch: 'x64' }));
    expect(error.code).toBe('ERR_SPEC');
    expect(error.issues!.map((issue) => issue.path)).toEqual([
      '/linux/seccomp/flags/0',
      '/linux/seccomp/syscalls/0/action',
    ]);
  });

  test.each([
    ['scattered values', (i: number): Condition[] => [{ index: 0, op: 'SCMP_CMP_EQ', value: 3 * i }]],
    ['values of two arguments', (i: number): Condition[] => [{ index: i % 2, op: 'SCMP_CMP_EQ', value: i }]],
  ])('a filter too large for the kernel, of %s', (_, args) => {
    for (const count of [4096, 20_000]) {
      const rules = Array.from({ length: count }, (_, i) => allow(['ioctl'], args(i)));
      const error = caught(() => compileSeccomp(listing(rules), { arch: 'x64' }));
      expect(error.message).toMatch(/the kernel takes 4096 at most/);
      expect(error.origin).toBe('/linux/seccomp/syscalls');
    }
  });
});

function caught(action: () => unknown): RuntsError {
  try {
    action();
  } catch (error) {
    if (error instanceof RuntsError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

test('whatever the profile, the filter decides as the profile reads', () => {
  const corners = [
    0n,
    1n,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
    0x100000000n,
    0x8000000000000000n,
    0xffffffffffffffffn,
  ];
  const wide = fc.oneof(fc.constantFrom(...corners), fc.bigInt(0n, 0xffffffffffffffffn), fc.bigInt(0n, 8n));
  const condition: fc.Arbitrary<Condition> = fc.record({
    index: fc.nat(5),
    op: fc.constantFrom(...operators),
    value: wide,
    valueTwo: wide,
  });
  const names = ['read', 'pwrite64', 'openat', 'mmap', 'prctl', 'clone3', 'mseal', 'no_such_call'];
  const rule = fc
    .record({
      names: fc.subarray(names, { minLength: 1 }),
      action: fc.constantFrom(...(Object.keys(actions) as Action[])),
      args: fc.array(condition, { maxLength: 4 }),
      errno: fc.constantFrom(undefined, 0, 1, 38),
    })
    .map(({ errno, ...r }): Rule => ({ ...r, errnoRet: 'dataMax' in actions[r.action] ? errno : undefined }));
  const byDefault = fc.constantFrom<Action>('SCMP_ACT_ERRNO', 'SCMP_ACT_ALLOW', 'SCMP_ACT_KILL', 'SCMP_ACT_TRACE');
  const architectures = ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] as const;
  const calls = fc.array(fc.tuple(fc.constantFrom(...names), fc.array(wide, { minLength: 6, maxLength: 6 })), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(fc.array(rule, { maxLength: 12 }), byDefault, calls, (syscalls, defaultAction, all) => {
      const profile: SeccompProfile = { defaultAction, architectures, syscalls };
      const filter = compileSeccomp(profile, { arch: 'x64' });
      // Every value that is compared with is tried as well, as each argument.
      const near = syscalls.flatMap((r) => (r.args ?? []).map((c) => BigInt(c.value)));
      const more = near.flatMap((v) => names.map((name): [string, bigint[]] => [name, [v, v, v, v, v, v]]));
      for (const abi of ['x64', 'x32', 'x86'] as const) {
        for (const [name, args] of [...all, ...more]) {
          const number = syscallNumbers(abi).get(name) ?? 1000;
          const data = { arch: callsOf[abi].audit, nr: callsOf[abi].base + number, args };
          const expected = literally(profile, abi, number, args);
          expect(`${abi} ${name} ${simulate(filter, data)}`).toBe(`${abi} ${name} ${expected}`);
        }
      }
    }),
    { seed: 7, numRuns: 200 },
  );
});

test('the same profile gives the same bytes', () => {
  const profile = () => defaultProfile({ capabilities: ['CAP_SYS_ADMIN'], arch: 'arm64' });
  expect(compileSeccomp(profile(), { arch: 'arm64' })).toEqual(compileSeccomp(profile(), { arch: 'arm64' }));
});

test('a small profile is a small filter', () => {
  const filter = compileSeccomp(listing([allow(['read', 'write'])]), { arch: 'x64' });
  const view = new DataView(filter.buffer);
  const words = Array.from({ length: filter.length / 4 }, (_, i) => view.getUint32(4 * i, true).toString(16));
  expect(words).toMatchInlineSnapshot(`
    [
      "20",
      "4",
      "7000015",
      "c000003e",
      "20",
      "0",
      "4000035",
      "2",
      "2000035",
      "40000000",
      "3000035",
      "ffffffff",
      "6",
      "50001",
      "6",
      "50026",
      "6",
      "7fff0000",
      "6",
      "80000000",
    ]
  `);
});
