import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect } from 'vitest';
import { type CommonOptions, createContainer, type Limits, run, type Spec } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';
import { cgroupOf, countOf, textOf } from './cgroups.ts';

const MiB = 1024 * 1024;
const disk = '/dev/vda';
const work = mkdtempSync('/var/tmp/runts-limits-');
chmodSync(work, 0o777);
afterAll(() => rmSync(work, { recursive: true, force: true }));

const shell = (script: string) => ({ host: true as const, command: ['sh', '-c', script] });
const perl = (script: string) => ({ host: true as const, command: ['perl', '-e', script] });
/** A command that touches so much memory. */
const fill = (megabytes: number) => perl(`my $n = ${megabytes} << 20; my $x = "x" x $n; print length $x`);

type Resources = NonNullable<Spec['linux']['resources']>;
/** The same limit in the words of the library, and in those of the runtime specification. */
type Way = (limits: Limits, resources: Resources) => Partial<CommonOptions>;

const ways: readonly (readonly [string, Way])[] = [
  ['asked for by an option', (limits) => ({ limits })],
  [
    'written in the spec',
    (_, resources) => ({
      spec: (spec) => {
        spec.linux.resources = { ...spec.linux.resources, ...(resources as typeof spec.linux.resources) };
      },
    }),
  ],
];

describe.each(ways)('a limit that is %s', (_, by) => {
  testIf('vm', 'cgroup2:memory')('memory.max kills, and the kill is counted', async () => {
    const limit = by({ memory: '32m', swap: 0 }, { memory: { limit: 32 * MiB, swap: 32 * MiB } });
    const greedy = perl('<STDIN>; my $n = 256 << 20; my $x = "x" x $n');
    await using container = await createContainer({ ...greedy, stdin: 'pipe', ...limit });
    await container.start();
    const cgroup = cgroupOf(container);
    expect(textOf(cgroup, 'memory.max')).toBe(String(32 * MiB));
    expect(textOf(cgroup, 'memory.swap.max')).toBe('0');
    container.stdin?.end('go\n');
    expect(await container.wait()).toMatchObject({ signal: 'SIGKILL', oomKilled: true });
    expect(countOf(cgroup, 'memory.events', 'oom_kill')).toBeGreaterThan(0);
    // As a shell and every other runtime tell it: 128 and the number of the signal.
    await expect(run({ ...fill(256), ...limit })).rejects.toMatchObject({ code: 'ERR_EXIT', exit: 137 });
  });

  testIf('vm', 'cgroup2:memory')('swap may be used as far as it was given, and no further', async () => {
    const enough = by({ memory: '24m', swap: '64m' }, { memory: { limit: 24 * MiB, swap: 88 * MiB } });
    expect((await run({ ...fill(40), ...enough })).stdout).toBe(String(40 * MiB));
    const little = by({ memory: '24m', swap: '4m' }, { memory: { limit: 24 * MiB, swap: 28 * MiB } });
    expect(await run({ ...fill(40), ...little, reject: false })).toMatchObject({ signal: 'SIGKILL', oomKilled: true });
  });

  testIf('vm', 'cgroup2:pids')('pids.max makes fork fail', async () => {
    const script = 'while (defined(my $pid = fork)) { $pid or sleep 1000; $n++ } print "$n $!\\n"';
    const limit = by({ pids: 10 }, { pids: { limit: 10 } });
    // Of ten, one is perl itself.
    expect((await run({ ...perl(script), init: false, ...limit })).stdout).toBe('9 Resource temporarily unavailable\n');
  });

  testIf('vm', 'cgroup2:cpu')('cpu.max throttles', async () => {
    const limit = by({ cpus: 0.2 }, { cpu: { quota: 20_000, period: 100_000 } });
    await using container = await createContainer({ ...shell('while :; do :; done'), ...limit });
    await container.start();
    const cgroup = cgroupOf(container);
    const used = () => countOf(cgroup, 'cpu.stat', 'usage_usec');
    const [from, start] = [used(), performance.now()];
    await sleep(4000);
    const share = (used() - from) / 1000 / (performance.now() - start);
    expect(share).toBeGreaterThan(0.02);
    expect(share).toBeLessThan(0.3);
    expect(countOf(cgroup, 'cpu.stat', 'nr_throttled')).toBeGreaterThan(5);
  });

  testIf('vm', 'cgroup2:cpuset')('cpuset.cpus leaves one processor', async () => {
    const limit = by({ cpuset: '1' }, { cpu: { cpus: '1' } });
    const { stdout } = await run({ ...shell('nproc; grep Cpus_allowed_list /proc/self/status'), ...limit });
    expect(stdout).toBe('1\nCpus_allowed_list:\t1\n');
  });

  testIf('vm', 'cgroup2:io')('io.max slows a write to the disk', async () => {
    const { rdev } = statSync(disk);
    const device = { major: rdev >> 8, minor: rdev & 0xff, rate: MiB };
    const limit = by({ io: [{ device: disk, writeBps: '1m' }] }, { blockIO: { throttleWriteBpsDevice: [device] } });
    const write = 'dd if=/dev/zero of=/work/$$ bs=256k count=16 oflag=direct 2>/dev/null';
    const script = `now() { read up rest </proc/uptime; echo $up; }; now; ${write}; now`;
    const mounts = [{ type: 'bind' as const, source: work, target: '/work' }];
    const seconds = async (options: Partial<CommonOptions>) => {
      const { stdout } = await run({ ...shell(script), mounts, ...options });
      const [from = Number.NaN, to = Number.NaN] = stdout.split('\n').map(Number);
      return to - from;
    };
    const free = await seconds({});
    // Four megabytes at one in a second; what the first slice of time allows is free.
    const slowed = await seconds(limit);
    expect({ free, slowed, bites: slowed > 3 && slowed > 2 * free }).toMatchObject({ bites: true });
  });
});

testIf(
  'vm',
  'cgroup2:memory',
  'cgroup2:pids',
)('nothing is left of a cgroup when its container is gone', async () => {
  const container = await createContainer({ ...shell('sleep 1000'), limits: { memory: '64m', pids: 20 } });
  await container.start();
  const cgroup = cgroupOf(container);
  await container.remove({ force: true });
  expect(() => statSync(cgroup)).toThrow('ENOENT');
});

testIf('vm', 'cgroup2:memory')('a container that runs out of memory does not disturb its neighbour', async () => {
  const limits = { memory: '48m', swap: 0 } as const;
  const bomb = run({ ...shell('tail /dev/zero & tail /dev/zero & wait'), limits, reject: false });
  expect((await run({ ...shell('sleep 1; echo alive'), limits })).stdout).toBe('alive\n');
  expect((await bomb).oomKilled).toBe(true);
});
