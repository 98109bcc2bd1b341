// Any seccomp profile: what its filter answers, by a simulator of the kernel's, is what the profile says in plain words.
// Against libseccomp: test/seccomp/differential.test.ts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { callsOf, type NativeArch } from '../../lib/seccomp/arch.ts';
import { compileSeccomp } from '../../lib/seccomp/compile.ts';
import type { Action, Architecture, Condition, Rule, SeccompProfile } from '../../lib/seccomp/profile.ts';
import { actions, operators } from '../../lib/seccomp/profile.ts';
import { type Abi, syscallNumbers } from '../../lib/seccomp/syscalls.ts';
import { simulate } from '../support/bpf.ts';
import { runs } from './runs.ts';

const abis: Record<NativeArch, Readonly<Partial<Record<Abi, Architecture>>>> = {
  x64: { x64: 'SCMP_ARCH_X86_64', x32: 'SCMP_ARCH_X32', x86: 'SCMP_ARCH_X86' },
  arm64: { arm64: 'SCMP_ARCH_AARCH64', arm: 'SCMP_ARCH_ARM' },
};
const ENOSYS = 38;

const returned = (action: Action, errno = 1) =>
  ('dataMax' in actions[action] ? actions[action].value | errno : actions[action].value) >>> 0;

const compare: Record<Condition['op'], (value: bigint, a: bigint, b: bigint) => boolean> = {
  SCMP_CMP_NE: (value, a) => value !== a,
  SCMP_CMP_LT: (value, a) => value < a,
  SCMP_CMP_LE: (value, a) => value <= a,
  SCMP_CMP_EQ: (value, a) => value === a,
  SCMP_CMP_GE: (value, a) => value >= a,
  SCMP_CMP_GT: (value, a) => value > a,
  SCMP_CMP_MASKED_EQ: (value, a, b) => (value & a) === (b & a),
};

/**
 * Conditions on one argument twice are alternatives, as runc has it; others must all hold. Where registers have 32 bits,
 * so have the numbers that they are compared with, as in libseccomp.
 */
function holds({ args = [] }: Rule, values: readonly bigint[], bits: 32 | 64): boolean {
  const each = args.map(({ index, op, value, valueTwo = 0 }) => {
    const [a, b] = [BigInt.asUintN(bits, BigInt(value)), BigInt.asUintN(bits, BigInt(valueTwo))];
    return compare[op](BigInt.asUintN(bits, values[index] as bigint), a, b);
  });
  const twice = new Set(args.map(({ index }) => index)).size < args.length;
  return twice ? each.includes(true) : !each.includes(false);
}

/** What the profile says of one call in plain words. */
function means(profile: SeccompProfile, abi: Abi, number: number, values: readonly bigint[]): number {
  const numbers = syscallNumbers(abi);
  const { defaultAction, defaultErrnoRet, syscalls = [] } = profile;
  const otherwise = returned(defaultAction, defaultErrnoRet);
  const known = syscalls.flatMap(({ names }) => names.map((name) => numbers.get(name) ?? 0));
  const newest = Math.max(0, ...known.filter((each) => each < 0xf0000));
  const permissive = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(defaultAction);
  // A call that is newer than the profile does not exist: programs know what to do then (R16).
  const rest = !permissive && newest > 0 && number > newest ? returned('SCMP_ACT_ERRNO', ENOSYS) : otherwise;
  const rules = syscalls.filter(
    ({ names, action, errnoRet }) =>
      returned(action, errnoRet) !== otherwise && names.some((name) => numbers.get(name) === number),
  );
  const always = rules.find(({ args = [] }) => args.length === 0);
  const rule = always ?? rules.find((each) => holds(each, values, callsOf[abi].wide ? 64 : 32));
  return rule === undefined ? rest : returned(rule.action, rule.errnoRet);
}

const wide = fc.oneof(
  fc.constantFrom(0n, 1n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 0x100000000n, 0x8000000000000000n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
  fc.bigInt(0n, 20n),
);
// None that i386 has behind socketcall or ipc, where arguments are out of sight.
const names = ['read', 'ioctl', 'mmap', 'openat', 'clone', 'clone3', 'statx', 'personality', 'no_such_call'];
const rule = fc.record<Rule>(
  {
    names: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }),
    action: fc.constantFrom(...(Object.keys(actions) as Action[])),
    args: fc.array(fc.record({ index: fc.nat(5), op: fc.constantFrom(...operators), value: wide, valueTwo: wide }), {
      maxLength: 3,
    }),
  },
  { requiredKeys: ['names', 'action'] },
);
const profile = (arch: NativeArch) =>
  fc.record<SeccompProfile>({
    defaultAction: fc.constantFrom<Action>('SCMP_ACT_ERRNO', 'SCMP_ACT_ALLOW', 'SCMP_ACT_KILL_PROCESS', 'SCMP_ACT_LOG'),
    architectures: fc.constant(Object.values(abis[arch])),
    syscalls: fc.array(rule, { maxLength: 8 }),
  });

/** Arguments at and beside what the profile compares with. */
const near = (all: SeccompProfile) => {
  const told = (all.syscalls ?? []).flatMap(({ args = [] }) =>
    args.flatMap(({ value, valueTwo = 0 }) => [value, valueTwo]),
  );
  const beside = told.flatMap((value) => [-1n, 0n, 1n, 2n ** 32n].map((by) => BigInt.asUintN(64, BigInt(value) + by)));
  const value = beside.length === 0 ? wide : fc.oneof(wide, fc.constantFrom(...beside));
  return fc.tuple(value, value, value, value, value, value);
};

test.each(['x64', 'arm64'] as const)('the filter of any profile answers as the profile says, on %s', (arch) => {
  const kinds = Object.keys(abis[arch]) as Abi[];
  const call = profile(arch).chain((all) =>
    fc.tuple(
      fc.constant(all),
      fc.constantFrom(...kinds),
      fc.constantFrom(...names),
      fc.nat(600),
      fc.array(near(all), { minLength: 1, maxLength: 8 }),
    ),
  );
  fc.assert(
    fc.property(call, ([all, abi, name, other, lists]) => {
      const filter = compileSeccomp(all, { arch });
      const { audit, base } = callsOf[abi];
      for (const number of [syscallNumbers(abi).get(name) ?? other, other]) {
        for (const args of lists) {
          const answer = simulate(filter, { arch: audit, nr: base + number, args });
          expect({ abi, number, args, answer }).toEqual({ abi, number, args, answer: means(all, abi, number, args) });
        }
      }
    }),
    runs(150),
  );
});

test('a filter is one that the kernel takes: of its length, or refused in a sentence', () => {
  const many = fc.array(rule, { minLength: 20, maxLength: 60 });
  fc.assert(
    fc.property(many, (syscalls) => {
      const architectures = Object.values(abis.x64);
      try {
        const filter = compileSeccomp({ defaultAction: 'SCMP_ACT_ERRNO', architectures, syscalls }, { arch: 'x64' });
        expect(filter.length % 8 === 0 && filter.length <= 8 * 4096).toBe(true);
      } catch (error) {
        expect(RuntsError.is(error)).toBe(true);
      }
    }),
    runs(60),
  );
});
