import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { callsOf, type NativeArch } from '../../lib/seccomp/arch.ts';
import { compileSeccomp } from '../../lib/seccomp/compile.ts';
import { defaultProfile } from '../../lib/seccomp/default.ts';
import { multiplexed } from '../../lib/seccomp/multiplexed.ts';
import type { Action, Architecture, Condition, Rule, SeccompProfile } from '../../lib/seccomp/profile.ts';
import { actions, operators } from '../../lib/seccomp/profile.ts';
import { type Abi, syscallNumbers } from '../../lib/seccomp/syscalls.ts';
import { runsAt } from '../properties/runs.ts';
import { simulate } from '../support/bpf.ts';
import { buildLibseccomp, type Libseccomp } from './libseccomp.ts';

const built = buildLibseccomp();
const reason = typeof built === 'string' ? built : undefined;
const libseccomp = built as Libseccomp;

const ENOSYS = 0x00050026;

const abiNames: Record<Abi, Architecture> = {
  x64: 'SCMP_ARCH_X86_64',
  x32: 'SCMP_ARCH_X32',
  x86: 'SCMP_ARCH_X86',
  arm64: 'SCMP_ARCH_AARCH64',
  arm: 'SCMP_ARCH_ARM',
};
const abisOf: Record<NativeArch, readonly Abi[]> = { x64: ['x64', 'x32', 'x86'], arm64: ['arm64', 'arm'] };

/** What a default container of Docker's has. */
const dockerCapabilities = `CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP
  NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE`.split(/\s+/);
const capabilitySets: Record<string, readonly string[]> = {
  none: [],
  'those of Docker': dockerCapabilities,
  'those of Docker and SYS_ADMIN': [...dockerCapabilities, 'SYS_ADMIN'],
  all: [
    ...dockerCapabilities,
    ...`SYS_ADMIN DAC_READ_SEARCH SYS_BOOT SYS_MODULE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG SYS_NICE
      SYSLOG BPF PERFMON`.split(/\s+/),
  ],
};

/** The profile without names that this libseccomp does not know at all: those of calls newer than it. */
function understood(profile: SeccompProfile): SeccompProfile {
  const names = [...new Set((profile.syscalls ?? []).flatMap((rule) => rule.names))];
  const numbers = libseccomp.resolve(names, 'SCMP_ARCH_X86_64');
  const syscalls = (profile.syscalls ?? []).map((rule) => ({
    ...rule,
    names: rule.names.filter((name) => numbers.get(name) !== -1),
  }));
  return { ...profile, syscalls: syscalls.filter((rule) => rule.names.length > 0) };
}

/** The newest call that the profile names, by libseccomp's numbers: above it runc puts its ENOSYS. */
function newestOf(profile: SeccompProfile, abi: Abi): number {
  const names = (profile.syscalls ?? []).flatMap((rule) => rule.names);
  if (names.length === 0) return 0;
  const numbers = [...libseccomp.resolve(names, abiNames[abi]).values()];
  return Math.max(0, ...numbers.map((n) => n - callsOf[abi].base).filter((n) => n < 0xf0000));
}

/** breakpoint, cacheflush and set_tls, which the default profile allows. */
const armPrivate = [0xf0001, 0xf0002, 0xf0005];

const corners = [
  0n,
  1n,
  2n,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  0x100000001n,
  0x8000000000000000n,
  0xffffffffffffffffn,
];

/** Argument lists at and beside every value that the rule compares with. */
function argumentsNear(conditions: readonly Condition[]): bigint[][] {
  let lists: bigint[][] = [[0n, 0n, 0n, 0n, 0n, 0n]];
  for (const { index, value, valueTwo } of conditions) {
    const values = new Set([value, valueTwo ?? 0].flatMap((v) => [BigInt(v) - 1n, BigInt(v), BigInt(v) + 1n]));
    const near = [...values, BigInt(value) + 0x100000000n].map((v) => BigInt.asUintN(64, v));
    lists = lists.flatMap((list) => [...near, ...corners].map((v) => list.map((old, i) => (i === index ? v : old))));
    if (lists.length > 2000) lists = lists.filter((_, i) => i % 7 === 0);
  }
  return lists;
}

/** Every way in which the two filters differ, as sentences; none is what we want. */
function differences(profile: SeccompProfile, arch: NativeArch, abis: readonly Abi[]): string[] {
  const ours = compileSeccomp(profile, { arch });
  const theirs = libseccomp.compile(profile);
  const found: string[] = [];
  for (const abi of abis) {
    const { audit, base } = callsOf[abi];
    const newest = newestOf(profile, abi);
    const permissive = ['SCMP_ACT_ALLOW', 'SCMP_ACT_LOG', 'SCMP_ACT_TRACE'].includes(profile.defaultAction);
    const stub = (number: number) => !permissive && newest > 0 && number > newest && number < 0xf0000;
    const compare = (number: number, args: bigint[]) => {
      const call = { arch: audit, nr: base + number, args };
      const expected = stub(number) ? ENOSYS : simulate(theirs, call);
      const actual = simulate(ours, call);
      if (actual === expected) return;
      found.push(`${abi} ${number} (${args.join(', ')}): 0x${actual.toString(16)}, not 0x${expected.toString(16)}`);
    };
    for (let number = 0; number <= 600; number++) compare(number, [0n, 0n, 0n, 0n, 0n, 0n]);
    if (abi === 'arm') for (const number of armPrivate) compare(number, []);
    for (const rule of (profile.syscalls ?? []).filter(({ args = [] }) => args.length > 0)) {
      for (const name of rule.names) {
        const number = syscallNumbers(abi).get(name);
        if (number !== undefined) for (const args of argumentsNear(rule.args!)) compare(number, args);
      }
    }
  }
  return found.slice(0, 20);
}

test.runIf(reason !== undefined && (process.env['RUNTS_MUST_WORK'] ?? '').split(',').includes('libseccomp'))(
  'libseccomp can be built against',
  () => {
    expect(reason).toBeUndefined();
  },
);

describe.skipIf(reason !== undefined)(
  `against libseccomp${reason === undefined ? '' : ` (skipped: ${reason})`}`,
  () => {
    afterAll(() => libseccomp.remove());

    test.each(Object.keys(abiNames) as Abi[])('the numbers of %s are those of libseccomp', (abi) => {
      const ours = syscallNumbers(abi);
      const theirs = libseccomp.resolve([...ours.keys()], abiNames[abi]);
      const wrong = [...ours].filter(([name, number]) => {
        const other = theirs.get(name)!;
        return other >= 0 ? other !== number + callsOf[abi].base : number <= 450 && !elsewhere(abi, name);
      });
      expect(wrong).toEqual([]);
    });

    /** Names to which libseccomp 2.5 gives no number where the kernel's headers have one. */
    function elsewhere(abi: Abi, name: string): boolean {
      // Newer than it, whatever the number; another name for arm_sync_file_range; calls it multiplexes on i386.
      if (name === 'uretprobe' || name === 'uprobe' || (abi === 'arm' && name === 'sync_file_range2')) return true;
      return abi === 'x86' && multiplexed(name) !== undefined;
    }

    for (const [what, capabilities] of Object.entries(capabilitySets)) {
      test.each(['x64', 'arm64'] as const)(
        `the default profile with capabilities ${what} decides alike on %s`,
        (arch) => {
          const caps = capabilities.map((name) => `CAP_${name}`);
          const profile = understood(defaultProfile({ capabilities: caps, arch }));
          expect(differences(profile, arch, abisOf[arch])).toEqual([]);
        },
      );
    }

    test('a call of x32 or of i386 is refused by a profile that does not list them', () => {
      const profile: SeccompProfile = {
        defaultAction: 'SCMP_ACT_ERRNO',
        architectures: ['SCMP_ARCH_X86_64'],
        syscalls: [{ names: ['read', 'write', 'socket'], action: 'SCMP_ACT_ALLOW' }],
      };
      const theirs = libseccomp.compile(profile);
      const ours = compileSeccomp(profile, { arch: 'x64' });
      for (const call of [
        { arch: 0xc000003e, nr: 0x40000000 },
        { arch: 0xc000003e, nr: 0x40000001 },
        { arch: 0xc000003e, nr: 0xfffffffe },
        { arch: 0xc000003e, nr: 0xffffffff },
        { arch: 0x40000003, nr: 3 },
        { arch: 0xc00000b7, nr: 63 },
      ]) {
        expect(simulate(ours, call)).toBe(simulate(theirs, call));
      }
    });

    test('socketcall and ipc are decided as the calls that they stand for', () => {
      const names = 'socket bind accept accept4 recvmmsg sendmmsg send recv shmget shmat semop semtimedop msgsnd'.split(
        ' ',
      );
      const profile: SeccompProfile = {
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
        syscalls: [{ names, action: 'SCMP_ACT_ERRNO', errnoRet: 13 }],
      };
      const theirs = libseccomp.compile(profile);
      const ours = compileSeccomp(profile, { arch: 'x64' });
      for (const nr of [102, 117]) {
        for (let call = 0n; call < 30n; call++) {
          const data = { arch: 0x40000003, nr, args: [call] };
          expect(`${nr} ${call} ${simulate(ours, data)}`).toBe(`${nr} ${call} ${simulate(theirs, data)}`);
        }
      }
    });

    test('profiles made at random decide alike', () => {
      const wide = fc.oneof(fc.constantFrom(...corners), fc.bigInt(0n, 0xffffffffffffffffn), fc.bigInt(0n, 40n));
      const condition = fc.record({ index: fc.nat(5), op: fc.constantFrom(...operators), value: wide, valueTwo: wide });
      const conditions = fc.uniqueArray(condition, { maxLength: 3, selector: (c) => c.index });
      const values = fc.array(wide, { minLength: 2, maxLength: 6 });
      const action = fc.constantFrom<Action>(...(Object.keys(actions) as Action[]));
      // A call has one rule here, or a list of values: libseccomp 2.5 forgets some of several rules with unlike
      // conditions (arg1 != 0; arg2 != 0 and arg1 != 1; arg0 == 1), and which of two actions wins is left to its tree.
      const argLists = fc.oneof(
        conditions.map((args): Condition[][] => [args]),
        values.map((list): Condition[][] => list.map((value) => [{ index: 2, op: 'SCMP_CMP_EQ', value }])),
      );
      const rules = fc
        .tuple(fc.constantFrom('read', 'ioctl', 'mmap', 'openat'), action, argLists)
        .map(([name, action, lists]) => lists.map((args): Rule => ({ names: [name], action, args })));
      const syscalls = fc.uniqueArray(rules, { minLength: 1, maxLength: 4, selector: (all) => all[0]!.names[0] });
      fc.assert(
        fc.property(syscalls, (all) => {
          const architectures = ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'] as const;
          const profile: SeccompProfile = { defaultAction: 'SCMP_ACT_ERRNO', architectures, syscalls: all.flat() };
          expect(differences(profile, 'x64', abisOf.x64)).toEqual([]);
        }),
        runsAt(20, 100),
      );
    });
  },
);
