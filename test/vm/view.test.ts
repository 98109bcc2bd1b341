import { expect } from 'vitest';
import { type Container, createContainer } from '../../lib/index.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('vm', '/dev/fuse', 'cgroup2:memory', 'cgroup2:cpu');
const sleeping = { host: true, command: ['sleep', '1000'], systemView: 'limits' } as const;
const say = async (container: Container, script: string): Promise<string> =>
  (await container.exec(['sh', '-c', script])).stdout.trim();
/** The row of /proc/meminfo, in KiB. */
const memory = async (container: Container, row: string): Promise<number> =>
  Number(await say(container, `awk '/^${row}:/{print $2}' /proc/meminfo`));
const processors = (container: Container) =>
  say(
    container,
    'echo $(cat /sys/devices/system/cpu/online; grep -c ^processor /proc/cpuinfo; grep -c ^cpu[0-9] /proc/stat)',
  );

test('a container of 64 MB and 1.5 processors sees these, and what becomes of them', async () => {
  await using container = await createContainer({ ...sleeping, limits: { memory: '64m', swap: 0, cpus: 1.5 } });
  await container.start();
  expect(await memory(container, 'MemTotal')).toBe(64 * 1024);
  expect(await memory(container, 'SwapTotal')).toBe(0);
  const available = await memory(container, 'MemAvailable');
  expect(available).toBeGreaterThan(0);
  expect(available).toBeLessThanOrEqual(64 * 1024);
  // As `free` has it, which reads the same rows.
  expect(await say(container, "free -k | awk '/^Mem:/{print $2}'")).toBe(String(64 * 1024));
  expect(Number(await say(container, 'cut -d. -f1 /proc/uptime'))).toBeLessThan(600);
  const all = Number((await say(container, 'nproc')).trim());
  expect(await processors(container)).toBe(all > 1 ? '0-1 2 2' : '0 1 1');

  await container.update({ memory: '96m', cpus: 0.5 });
  expect(await memory(container, 'MemTotal')).toBe(96 * 1024);
  expect(await processors(container)).toBe('0 1 1');
});

test('what is used is not free, and what could be given back is available', async () => {
  await using container = await createContainer({ ...sleeping, limits: { memory: '64m', swap: 0 } });
  await container.start();
  const before = await memory(container, 'MemFree');
  const fill = 'my $x = "x" x (24 << 20); system("cat /proc/meminfo")';
  const { stdout } = await container.exec(['perl', '-e', fill]);
  const row = (name: string) => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(stdout)?.[1]);
  expect(row('MemFree')).toBeLessThan(before - 20 * 1024);
  expect(row('AnonPages')).toBeGreaterThan(20 * 1024);
  expect(row('MemTotal') - row('MemAvailable')).toBeGreaterThan(20 * 1024);
});

test('a limit of a cgroup above the container’s holds too', async () => {
  await using container = await createContainer({ ...sleeping, limits: { memory: '4096g' } });
  await container.start();
  const total = await memory(container, 'MemTotal');
  expect(total).toBeGreaterThan(0);
  expect(total).toBeLessThan(4096 * 1024 * 1024);
});

testIf(
  'vm',
  '/dev/fuse',
  'cgroup2:cpuset',
)('a set of processors is seen with numbers from 0', async () => {
  await using container = await createContainer({ ...sleeping, limits: { cpuset: '0' } });
  await container.start();
  expect(await processors(container)).toBe('0 1 1');
  expect(await say(container, 'nproc')).toBe('1');
});
