import { describe, expect, test } from 'vitest';
import { callsOf, type NativeArch } from '../../../lib/seccomp/arch.ts';
import { offsets } from '../../../lib/seccomp/bpf.ts';
import { compileSeccomp } from '../../../lib/seccomp/compile.ts';
import { type DefaultProfileOptions, defaultProfile } from '../../../lib/seccomp/default.ts';
import { type Abi, syscallNumbers } from '../../../lib/seccomp/syscalls.ts';
import { run, simulate } from '../../support/bpf.ts';
import { literally } from '../../support/literal-profile.ts';

const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;

function asker(options: Partial<DefaultProfileOptions>) {
  const filter = compileSeccomp(defaultProfile({ capabilities: [], arch: 'x64', ...options }), { arch: 'x64' });
  return (name: string, ...args: bigint[]) =>
    simulate(filter, { arch: 0xc000003e, nr: syscallNumbers('x64').get(name)!, args });
}

describe('the default profile', () => {
  test('allows what programs do and forbids what is not listed', () => {
    const ask = asker({});
    for (const name of ['read', 'execve', 'futex', 'openat2', 'ptrace', 'mseal']) expect(ask(name)).toBe(ALLOW);
    for (const name of ['mount', 'reboot', 'bpf', 'keyctl', 'io_uring_setup', 'userfaultfd', 'kexec_load']) {
      expect(ask(name)).toBe(EPERM);
    }
  });

  test('lets processes be made, but namespaces only with CAP_SYS_ADMIN', () => {
    const [without, having] = [asker({}), asker({ capabilities: ['CAP_SYS_ADMIN'] })];
    expect(without('clone', 0x11n)).toBe(ALLOW);
    expect(without('clone', 0x10000011n)).toBe(EPERM);
    expect(without('clone3')).toBe(ENOSYS);
    expect(without('unshare')).toBe(EPERM);
    for (const name of ['clone', 'clone3', 'unshare', 'mount']) expect(having(name, 0x10000000n)).toBe(ALLOW);
  });

  test('allows the address families of Docker: not AF_ALG, not AF_VSOCK', () => {
    const ask = asker({});
    const refused = Array.from({ length: 60 }, (_, i) => i).filter((family) => ask('socket', BigInt(family)) !== ALLOW);
    expect(refused).toEqual([12, 19, 20, 23, 25, 34, 37, 38, 40, ...Array.from({ length: 14 }, (_, i) => 46 + i)]);
    expect(ask('socket', 0x100000002n)).toBe(EPERM);
  });

  test('allows the harmless personalities and asking which one it is', () => {
    const ask = asker({});
    for (const value of [0n, 8n, 0x20000n, 0x20008n, 0xffffffffn]) expect(ask('personality', value)).toBe(ALLOW);
    for (const value of [1n, 0x40000n, 0xffffffffffffffffn]) expect(ask('personality', value)).toBe(EPERM);
  });

  test.each([
    ['CAP_DAC_READ_SEARCH', 'open_by_handle_at'],
    ['CAP_SYS_BOOT', 'reboot'],
    ['CAP_SYS_CHROOT', 'chroot'],
    ['CAP_SYS_MODULE', 'finit_module'],
    ['CAP_SYS_PACCT', 'acct'],
    ['CAP_SYS_PTRACE', 'kcmp'],
    ['CAP_SYS_RAWIO', 'iopl'],
    ['CAP_SYS_TIME', 'clock_settime'],
    ['CAP_SYS_TTY_CONFIG', 'vhangup'],
    ['CAP_SYS_NICE', 'mbind'],
    ['CAP_SYSLOG', 'syslog'],
    ['CAP_BPF', 'bpf'],
    ['CAP_PERFMON', 'perf_event_open'],
  ])('%s brings %s', (capability, name) => {
    expect(asker({})(name)).toBe(EPERM);
    expect(asker({ capabilities: [capability] })(name)).toBe(ALLOW);
  });

  test('forbids tracing on kernels where a tracer can undo the filter', () => {
    expect(asker({ kernel: [4, 7] })('ptrace')).toBe(EPERM);
    expect(asker({ kernel: [4, 8] })('ptrace')).toBe(ALLOW);
    expect(asker({ kernel: [6, 1] })('ptrace')).toBe(ALLOW);
  });

  test('says ENOSYS of calls that are newer than it', () => {
    expect(asker({})('removexattrat')).toBe(ALLOW);
    expect(asker({})('open_tree_attr')).toBe(ENOSYS);
  });

  test('has the rows of its machine', () => {
    const names = (arch: 'x64' | 'arm64') =>
      defaultProfile({ capabilities: [], arch }).syscalls!.flatMap((rule) => rule.names);
    expect(names('x64')).toContain('arch_prctl');
    expect(names('x64')).not.toContain('cacheflush');
    expect(names('arm64')).toContain('cacheflush');
    expect(names('arm64')).not.toContain('arch_prctl');
  });
});

describe.each<[NativeArch, readonly Abi[]]>([
  ['x64', ['x64', 'x32', 'x86']],
  ['arm64', ['arm64', 'arm']],
])('the filter of the default profile on %s', (arch, abis) => {
  const numbers = Array.from({ length: 1025 }, (_, number) => number);

  test.each([
    ['no capabilities', []],
    ['CAP_SYS_ADMIN', ['CAP_SYS_ADMIN']],
  ])('decides each number as the profile reads, with %s', (_, capabilities) => {
    const profile = defaultProfile({ capabilities, arch });
    const filter = compileSeccomp(profile, { arch });
    const conditional = profile.syscalls!.filter((rule) => rule.args !== undefined);
    const near = conditional.flatMap(({ args }) => [-1n, 0n, 1n, 2n ** 32n].map((n) => BigInt(args![0]!.value) + n));
    const values = [...new Set(near.map((value) => BigInt.asUintN(64, value)))];
    const wrong: string[] = [];
    for (const abi of abis) {
      const { audit, base } = callsOf[abi];
      const table = syscallNumbers(abi);
      const names = [...conditional.flatMap((rule) => rule.names), 'socketcall', 'ipc'];
      const argued = new Set(names.map((name) => table.get(name)));
      for (const number of [...numbers, 0x3fffffff]) {
        for (const value of argued.has(number) ? values : [0n, 2n ** 64n - 1n]) {
          const verdict = simulate(filter, { arch: audit, nr: base + number, args: [value] });
          if (verdict !== literally(profile, abi, number, [value])) wrong.push(`${abi} ${number} (${value})`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  // What the kernel does at the start of every container: compile all of it, and try each number.
  test('is short, and so are the ways through it', () => {
    const filter = compileSeccomp(defaultProfile({ capabilities: [], arch }), { arch });
    expect(filter.length / 8).toBeLessThanOrEqual(190);
    const steps = numbers.slice(0, 512).map((nr) => run(filter, { arch: callsOf[arch].audit, nr }).steps);
    expect(Math.max(...steps)).toBeLessThanOrEqual(18);
    expect(steps.reduce((sum, n) => sum + n) / steps.length).toBeLessThan(10.5);
  });

  test('remembers a register for calls of the other ABI, so that the kernel tries none of its numbers', () => {
    const filter = compileSeccomp(defaultProfile({ capabilities: [], arch }), { arch });
    const view = new DataView(filter.buffer);
    const { audit } = callsOf[arch === 'x64' ? 'x86' : 'arm'];
    const all = Array.from({ length: filter.length / 8 }, (_, i) => ({
      code: view.getUint16(8 * i, true),
      k: view.getUint32(8 * i + 4, true),
    }));
    const asked = all.findIndex(({ k }) => k === audit);
    // seccomp_is_const_allow follows loads of the number and masks, and gives up at the first instruction of another kind.
    expect(all.slice(asked + 1, asked + 4)).toEqual([
      { code: 0x20, k: offsets.number },
      { code: 0x54, k: 31 },
      { code: 0x07, k: 0 },
    ]);
  });
});
