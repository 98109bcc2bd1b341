import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { bin } from '../cli/runts.ts';
import { type Config, eventually, Place } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

/** The systemd driver with the manager of whoever runs the tests: the system's for root, their own for a user. */
const isRoot = process.getuid?.() === 0;
const manager = isRoot ? [] : ['--user'];
const top = isRoot ? '' : '/user.slice/user-1000.slice/user@1000.service';
const test = testIf('vm', 'systemd', 'cgroup2:cpu', 'cgroup2:cpuset', 'cgroup2:io', 'cgroup2:memory', 'busybox');
/** A user has not even a skipped one. */
const testAsRoot = (name: string, work: () => Promise<void>): void => {
  if (isRoot) test(name, work);
};

let place: Place;
beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

const driver = '--systemd-cgroup';
const ok = (...args: string[]) => place.ok(driver, ...args);
const systemctl = (...args: string[]) => spawnSync('systemctl', [...manager, ...args], { encoding: 'utf8' }).stdout;
const isKnown = (unit: string) => systemctl('list-units', '--all', '--no-legend', unit).trim() !== '';

function property(unit: string, name: string): string {
  return systemctl('show', '--property', name, '--value', unit).trim();
}

const read = (cgroup: string, file: string) => readFileSync(`/sys/fs/cgroup${cgroup}/${file}`, 'utf8').trim();
const sleeps = (change: (config: Config) => void = () => {}) => place.bundle('exec sleep 1000', change);

test('systemd knows every limit of a container, and keeps it', async () => {
  const bundle = sleeps((config) => {
    config.linux.resources = {
      memory: { limit: 64 << 20, swap: 96 << 20, reservation: 32 << 20 },
      cpu: { shares: 512, quota: 30_001, period: 50_000, cpus: '0', mems: '0' },
      pids: { limit: 55 },
      blockIO: { weight: 500 },
      unified: { 'memory.high': '48M' },
    };
    config.annotations = { 'org.systemd.property.KillSignal': '37', 'org.systemd.property.TimeoutStopSec': '1.5' };
  });
  await ok('run', '--detach', '--bundle', bundle, 'a+b');
  const unit = 'runts-a\\x2bb.scope';
  const cgroup = `${top}/${isRoot ? 'system' : 'user'}.slice/${unit}`;
  const known = (names: string) => Object.fromEntries(names.split(' ').map((name) => [name, property(unit, name)]));
  expect(
    known(
      'ControlGroup Delegate MemoryMax MemorySwapMax MemoryLow MemoryHigh CPUWeight CPUQuotaPerSecUSec ' +
        'CPUQuotaPeriodUSec AllowedCPUs AllowedMemoryNodes TasksMax IOWeight KillSignal TimeoutStopUSec',
    ),
  ).toEqual({
    ControlGroup: cgroup,
    Delegate: 'yes',
    MemoryMax: `${64 << 20}`,
    MemorySwapMax: `${32 << 20}`,
    MemoryLow: `${32 << 20}`,
    MemoryHigh: `${48 << 20}`,
    CPUWeight: '59',
    CPUQuotaPerSecUSec: '610ms',
    CPUQuotaPeriodUSec: '50ms',
    AllowedCPUs: '0',
    AllowedMemoryNodes: '0',
    TasksMax: '55',
    IOWeight: '4950',
    KillSignal: '37',
    TimeoutStopUSec: '1.500000s',
  });
  const files = 'memory.max memory.swap.max memory.low memory.high cpu.weight cpuset.cpus pids.max io.weight'.split(
    ' ',
  );
  const written = () => files.map((file) => read(cgroup, file));
  const before = written();
  expect(before).toEqual([`${64 << 20}`, `${32 << 20}`, `${32 << 20}`, `${48 << 20}`, '59', '0', '55', 'default 4950']);
  // Ours is exact, where systemd counts in steps.
  expect(read(cgroup, 'cpu.max')).toBe('30001 50000');

  systemctl('daemon-reload');
  expect(written()).toEqual(before);
  await ok('update', '--memory', `${80 << 20}`, '--cpu-quota', '20001', '--pids-limit', '66', 'a+b');
  expect(known('MemoryMax CPUQuotaPerSecUSec TasksMax')).toEqual({
    MemoryMax: `${80 << 20}`,
    CPUQuotaPerSecUSec: '410ms',
    TasksMax: '66',
  });
  expect([read(cgroup, 'memory.max'), read(cgroup, 'cpu.max'), read(cgroup, 'pids.max')]).toEqual([
    `${80 << 20}`,
    '20001 50000',
    '66',
  ]);

  // Idleness is a weight of its own, for systemd.
  const { code, stderr } = await place.runts([driver, 'update', '--cpu-share', '200', '--cpu-idle', '1', 'a+b']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('unable to apply both') });
  expect(read(cgroup, 'cpu.idle')).toBe('1');
  await ok('update', '--cpu-share', '200', 'a+b');
  expect([read(cgroup, 'cpu.idle'), read(cgroup, 'cpu.weight')]).toEqual(['0', property(unit, 'CPUWeight')]);

  expect(await ok('exec', 'a+b', 'cat', '/proc/self/cgroup')).toBe('0::/\n');
  await ok('pause', 'a+b');
  expect(read(cgroup, 'cgroup.events')).toContain('frozen 1');
  await ok('delete', '--force', 'a+b');
  expect([isKnown(unit), existsSync(`/sys/fs/cgroup${cgroup}`)]).toEqual([false, false]);
});

test('a scope is where linux.cgroupsPath puts it, and one that others have is refused and left alone', async () => {
  const bundle = sleeps(({ linux }) => {
    linux.cgroupsPath = 'runts-test.slice:pre:named';
  });
  await ok('run', '--detach', '--bundle', bundle, 'named');
  const cgroup = `${top}/runts.slice/runts-test.slice/pre-named.scope`;
  expect(property('pre-named.scope', 'ControlGroup')).toBe(cgroup);
  const { code, stderr } = await place.runts([driver, 'create', '--bundle', bundle, 'other']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("container's cgroup is not empty") });
  expect(read(cgroup, 'cgroup.events')).toContain('populated 1');
  await ok('delete', '--force', 'named');
  expect(existsSync(`/sys/fs/cgroup${cgroup}`)).toBe(false);
});

test('a container that fails to be made leaves no scope, and takes the name of one that failed', async () => {
  // What is left of a scope whose time was over.
  const unit = 'runts-again.scope';
  const limited = ['--scope', '--quiet', '--unit', unit, '--property', 'RuntimeMaxSec=1', 'sleep', '1000'];
  spawnSync('systemd-run', [...manager, ...limited]);
  await eventually(() => property(unit, 'ActiveState') === 'failed', 'the scope to fail');
  const bundle = sleeps((config) => {
    config.hooks = { createRuntime: [{ path: '/bin/false' }] };
  });
  const { code, stderr } = await place.runts([driver, 'create', '--bundle', bundle, 'again']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('createRuntime') });
  expect([isKnown(unit), place.left().includes('again')]).toEqual([false, false]);
});

test('kill -9 of create leaves what delete --force removes, with its scope', async () => {
  const bundle = sleeps((config) => {
    config.hooks = { createRuntime: [{ path: '/bin/sleep', args: ['sleep', '1000'] }] };
  });
  const unit = 'runts-killed.scope';
  const args = ['--root', place.root, driver, 'create', '--bundle', bundle, 'killed'];
  const child = spawn(process.execPath, [bin, ...args], { stdio: 'ignore' });
  await eventually(() => isKnown(unit), 'the scope');
  child.kill('SIGKILL');
  await ok('delete', '--force', 'killed');
  expect([isKnown(unit), place.left().includes('killed')]).toEqual([false, false]);
});

testAsRoot('the device filter stays when systemd reads its units again', async () => {
  const bundle = sleeps((config) => {
    const { capabilities } = config.process;
    for (const set of Object.keys(capabilities)) capabilities[set] = [...capabilities[set], 'CAP_MKNOD'];
    config.linux.resources = { devices: [{ allow: false, access: 'rwm' }] };
  });
  await ok('run', '--detach', '--bundle', bundle, 'devices');
  systemctl('daemon-reload');
  const command = 'mknod /dev/forbidden c 1 11 && ! head -c 1 /dev/forbidden && head -c 1 /dev/zero | wc -c';
  const ended = await place.runts([driver, 'exec', 'devices', 'sh', '-c', command]);
  expect(ended).toMatchObject({ code: 0, stdout: '1\n', stderr: expect.stringContaining('not permitted') });
});

/** As who logs in by ssh: in a cgroup that is root's, with a manager of their own. */
testAsRoot('a user whose session is not delegated uses the scopes of their manager all the same', async () => {
  for (const { path } of [place.directory, place.rootfs]) chmodSync(path, 0o755);
  const bundle = sleeps(({ linux }) => {
    linux.namespaces.push({ type: 'user' });
    linux.resources = { pids: { limit: 33 } };
  });
  const root = '/run/user/1000/runts-test';
  const asUser = ['--reuid=1000', '--regid=1000', '--clear-groups', '--inh-caps=-all'];
  const env = { PATH: process.env['PATH'], HOME: '/home/user', XDG_RUNTIME_DIR: '/run/user/1000' };
  const runts = (...args: string[]) => {
    const command = [...asUser, process.execPath, bin, '--root', root, driver, ...args];
    const ended = spawnSync('setpriv', command, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    if (ended.status !== 0) throw new Error(`runts ${args.join(' ')}: ${ended.stderr}`);
    return ended.stdout;
  };
  // Not by a pipe, which the container would keep open.
  const run = [...asUser, process.execPath, bin, '--root', root, driver, 'run', '-d', '--bundle', bundle, 'session'];
  expect(spawnSync('setpriv', run, { env, stdio: 'ignore' }).status).toBe(0);
  const cgroup = '/user.slice/user-1000.slice/user@1000.service/user.slice/runts-session.scope';
  expect(read(cgroup, 'pids.max')).toBe('33');
  expect(runts('exec', 'session', 'cat', '/proc/self/cgroup')).toBe('0::/\n');
  runts('delete', '--force', 'session');
  expect(existsSync(`/sys/fs/cgroup${cgroup}`)).toBe(false);
});
