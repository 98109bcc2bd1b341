import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect } from 'vitest';
import { type CommonOptions, createContainer, type Limits, run, type Spec } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';
import { cgroupOf, countOf, valueOf } from './cgroups.ts';

const MiB = 1024 * 1024;
const disk = '/dev/vda';
const work = mkdtempSync('/var/tmp/runts-limits-');
chmodSync(work, 0o777);
afterAll(() => rmSync(work, { recursive: true, force: true }));

const shell = (script: string) => ({ host: true as const, command: ['sh', '-c', script] });
const onDisk = { mounts: [{ type: 'bind' as const, source: work, target: '/work' }] };

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
    await using container = await createContainer({ ...shell('read go; exec tail /dev/zero'), stdin: 'pipe', ...limit });
    await container.start();
    const cgroup = cgroupOf(container);
    expect(valueOf(cgroup, 'memory.max')).toBe(String(32 * MiB));
    expect(valueOf(cgroup, 'memory.swap.max')).toBe('0');
    container.stdin?.end('go\n');
    expect(await container.wait()).toMatchObject({ exitCode: 137, signal: 'SIGKILL', oomKilled: true });
    expect(countOf(cgroup, 'memory.events', 'oom_kill')).toBeGreaterThan(0);
  });

  testIf('vm', 'cgroup2:memory')('swap may be used as far as it was given, and no further', async () => {
    const fill = shell('head -c 48M /dev/zero | tail -c 48M >/dev/null');
    const some = by({ memory: '32m', swap: '64m' }, { memory: { limit: 32 * MiB, swap: 96 * MiB } });
    expect(await run({ ...fill, ...some })).toMatchObject({ exitCode: 0, oomKilled: false });
    const little = by({ memory: '32m', swap: '4m' }, { memory: { limit: 32 * MiB, swap: 36 * MiB } });
    expect(await run({ ...fill, ...little, reject: false })).toMatchObject({ exitCode: 137, oomKilled: true });
  });

  testIf('vm', 'cgroup2:pids')('pids.max makes fork fail', async () => {
    const script = 'while (defined(my $pid = fork)) { $pid or sleep 1000; $n++ } print "$n $!\\n"';
    const options = { host: true as const, command: ['perl', '-e', script], init: false };
    // Of ten, one is perl itself.
    const { stdout } = await run({ ...options, ...by({ pids: 10 }, { pids: { limit: 10 } }) });
    expect(stdout).toBe('9 Resource temporarily unavailable\n');
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
    const script = `since() { read up rest </proc/uptime; echo $up; }; since; ${write}; since`;
    const seconds = async (options: Partial<CommonOptions>) => {
      const { stdout } = await run({ ...shell(script), ...onDisk, ...options });
      const [from = Number.NaN, to = Number.NaN] = stdout.split('\n').map(Number);
      return to - from;
    };
    expect(await seconds({})).toBeLessThan(1.5);
    // Four megabytes at one in a second; the kernel hands out what a slice of time allows, first.
    expect(await seconds(limit)).toBeGreaterThan(3);
  });
});

testIf('vm', 'cgroup2:memory', 'cgroup2:pids')('nothing is left of a cgroup when its container is gone', async () => {
  const container = await createContainer({ ...shell('sleep 1000'), limits: { memory: '64m', pids: 20 } });
  await container.start();
  const cgroup = cgroupOf(container);
  await container.remove({ force: true });
  expect(() => statSync(cgroup)).toThrow('ENOENT');
});

testIf('vm', 'cgroup2:memory')('what a fork bomb of memory does is its own affair', async () => {
  const bomb = run({ ...shell('for i in 1 2 3 4; do tail /dev/zero & done; wait'), limits: { memory: '48m', swap: 0 }, reject: false });
  const quiet = await run({ ...shell('sleep 1; echo alive'), limits: { memory: '48m', swap: 0 } });
  expect(quiet.stdout).toBe('alive\n');
  expect((await bomb).oomKilled).toBe(true);
});
