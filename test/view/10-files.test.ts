import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { describe, expect } from 'vitest';
import { createContainer } from '../../lib/index.ts';
import { inside, lines } from '../container/inside.ts';
import { testIf } from '../support/requires.ts';
import { until } from './servers.ts';

const view = { systemView: 'limits' } as const;
const test = testIf('userns', '/dev/fuse');
const shell = (script: string) => ({ host: true as const, command: ['sh', '-c', script], ...view });

describe.each(['auto', 'host'] as const)('with userns %s', (userns) => {
  const test = userns === 'host' ? testIf('root', '/dev/fuse') : testIf('userns', '/dev/fuse');

  test('each file lies over that of /proc or /sys, read-only, and can be read by everybody', async () => {
    const script =
      "grep fuse.runts /proc/mounts; setpriv --reuid=1 cat $(awk '/fuse.runts/{print $2}' /proc/mounts) >/dev/null";
    const mounts = lines(
      await inside(script, { ...view, userns, ...(userns === 'auto' && { user: '0' }) }).catch(noSetpriv(userns)),
    );
    expect(mounts.map((line) => line.split(' ')[1])).toEqual([
      '/proc/cpuinfo',
      '/proc/meminfo',
      '/proc/stat',
      '/proc/uptime',
      '/proc/loadavg',
      '/proc/swaps',
      '/proc/diskstats',
      '/sys/devices/system/cpu/online',
    ]);
    for (const line of mounts) expect(line.split(' ')[3]).toMatch(/^ro,nosuid,nodev,noexec/);
  });

  test('the container has been up since it began, by the file and by sysinfo(2)', async () => {
    const script =
      'cat /proc/uptime; perl -e \'require "syscall.ph" if 0; my $b = "\\0" x 256; syscall($ARGV[0], $b); print unpack("q", $b)\' ';
    const [file = '', call] = lines(
      await inside(`${script} ${process.arch === 'x64' ? 99 : 179}`, { ...view, userns }),
    );
    expect(Number(file.split(' ')[0])).toBeLessThan(100);
    expect(Number(call)).toBeLessThan(100);
  });
});

/** With a single id there is no other user: then root reads. */
const noSetpriv = (userns: string) => () =>
  inside('grep fuse.runts /proc/mounts', { ...view, userns: userns as 'auto' });

test('uptime goes on, also in a file that stays open and is read again', async () => {
  const script = `
    open my $f, '<', '/proc/uptime'; my $first = <$f>; my $again = $first;
    while ($again eq $first) { select undef, undef, undef, 0.02; seek $f, 0, 0; $again = <$f>; }
    print "$first$again";`;
  const [first = '', again = ''] = lines(await inside(`perl -e '${script.replace(/'/g, "'\\''")}'`, view));
  expect(Number(again.split(' ')[0])).toBeGreaterThan(Number(first.split(' ')[0]));
});

test('processors are those that process 1 may have, numbered from 0, from one moment to the next', async () => {
  const look =
    'grep ^processor /proc/cpuinfo | tr -d "\\t\\n"; grep -c ^cpu[0-9] /proc/stat; cat /sys/devices/system/cpu/online';
  const script = `${look}; taskset -pc "$(taskset -pc 1 | sed "s/.*[-, :]//")" 1 >/dev/null; ${look}`;
  const said = lines(await inside(script, view));
  const all = availableParallelism();
  const numbers = Array.from({ length: all }, (_, i) => `processor: ${i}`).join('');
  expect(said).toEqual([`${numbers}${all}`, all === 1 ? '0' : `0-${all - 1}`, 'processor: 01', '0']);
});

test('what is read in pieces is what is read at once', async () => {
  // Columns are filled with spaces, as many as the numbers of the moment leave.
  const shape = `tr -d '0-9 ' | md5sum`;
  const script = `for f in cpuinfo meminfo stat; do for bs in 1000000 7; do dd if=/proc/$f bs=$bs 2>/dev/null | ${shape}; done; done`;
  const sums = lines(await inside(script, view));
  for (const i of [0, 2, 4]) expect(sums[i + 1]).toBe(sums[i]);
});

testIf(
  'userns',
  '/dev/fuse',
  'busybox',
)('what is copied by sendfile(2), and what is looked for at the end, is the same', async () => {
  const files = ['/proc/cpuinfo', '/proc/meminfo', '/proc/stat', '/proc/uptime', '/proc/loadavg', '/proc/swaps'];
  const shape = `tr -d '0-9 ' | md5sum`;
  const script = files.map(
    (path) => `for by in 'dd bs=1M' '/bin/busybox cat'; do $by <${path} 2>/dev/null | ${shape}; done`,
  );
  const sums = lines(await inside(script.join('\n'), view));
  expect(sums).toHaveLength(2 * files.length);
  for (const [i, path] of files.entries()) expect(sums[2 * i + 1], path).toBe(sums[2 * i]);
  const twice =
    'for i in 1 2; do /bin/busybox cat /proc/uptime; sleep 0.1; done; tail -n 1 /proc/meminfo; busybox tail -n 1 /proc/meminfo';
  const [first, again, ...last] = lines(await inside(twice, view));
  expect(Number(again?.split(' ')[0])).toBeGreaterThan(Number(first?.split(' ')[0]));
  const lastRow = readFileSync('/proc/meminfo', 'utf8').trimEnd().split('\n').pop()?.split(':')[0];
  expect(last.map((line) => line.split(':')[0])).toEqual([lastRow, lastRow]);
});

test('rows that are none of a cgroup are the kernel’s own, all of them and in their order', async () => {
  const rows = (text: string) => lines(text).map((line) => line.split(':')[0]);
  expect(rows(await inside('cat /proc/meminfo', view))).toEqual(rows(readFileSync('/proc/meminfo', 'utf8')));
  const fields = lines(readFileSync('/proc/stat', 'utf8')).map((line) => line.split(' ')[0]);
  const here = lines(await inside('cat /proc/stat', view)).map((line) => line.split(' ')[0]);
  expect(here.filter((field) => !field?.startsWith('cpu'))).toEqual(
    fields.filter((field) => !field?.startsWith('cpu')),
  );
});

testIf(
  'userns',
  '/dev/fuse',
  'cgroup2',
)('what the container’s processes use is its processors’ time, and load', async () => {
  await using container = await createContainer(shell('while :; do :; done & while :; do :; done'));
  await container.start();
  const busy = async () => {
    const { stdout } = await container.exec(['cat', '/proc/stat']);
    const [cpu = ''] = lines(stdout);
    return Number(cpu.split(/ +/)[1]);
  };
  const before = await until('time is counted', async () => (await busy()) || undefined);
  await until('more time is counted', async () => (await busy()) > before);
  await until('a load', async () => Number((await container.exec(['cat', '/proc/loadavg'])).stdout.split(' ')[0]) > 0);
});

test('times of processes are on the scale of the uptime', async () => {
  const [uptime = '', start = ''] = lines(await inside("cat /proc/uptime; cut -d' ' -f22 /proc/self/stat", view));
  expect(Number(start) / 100).toBeLessThanOrEqual(Number(uptime.split(' ')[0]) + 1);
});

test('without a /proc, or with one that is the caller’s own business, nothing is put there', async () => {
  const spec = {
    spec: (spec: { mounts?: { destination: string }[] }) => {
      spec.mounts = (spec.mounts ?? []).filter(({ destination }) => !destination.startsWith('/sys'));
    },
  } as object;
  expect(await inside('ls -A /sys; grep -c fuse.runts /proc/mounts', { ...view, ...spec })).toBe('7\n');
});

test('a container that asks for nothing sees the host', async () => {
  expect(await inside('grep -c fuse.runts /proc/mounts || cat /proc/uptime')).toMatch(/^0\n/);
});
