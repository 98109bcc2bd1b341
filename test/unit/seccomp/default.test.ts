import { describe, expect, test } from 'vitest';
import { compileSeccomp } from '../../../lib/seccomp/compile.ts';
import { type DefaultProfileOptions, defaultProfile } from '../../../lib/seccomp/default.ts';
import { syscallNumbers } from '../../../lib/seccomp/syscalls.ts';
import { run, simulate } from '../../support/bpf.ts';

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

test('the common calls take few instructions, and all of them little more on the average', () => {
  const filter = compileSeccomp(defaultProfile({ capabilities: [], arch: 'x64' }), { arch: 'x64' });
  const steps = (nr: number) => run(filter, { arch: 0xc000003e, nr }).steps;
  for (const name of ['read', 'write', 'openat', 'futex', 'close', 'mmap']) {
    expect(steps(syscallNumbers('x64').get(name)!)).toBeLessThanOrEqual(10);
  }
  const all = Array.from({ length: 470 }, (_, nr) => steps(nr));
  expect(all.reduce((sum, n) => sum + n) / all.length).toBeLessThan(10);
  expect(filter.length / 8).toBeLessThan(400);
});
