// What belongs to a container and is the kernel's to take back: its agent, its devices, its keys, its share of processes; and what
// several commands change of it at once.
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, expect } from 'vitest';
import { bin } from '../cli/runts.ts';
import { type Config, eventually, Place, processesWith } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

const test = testIf('userns', 'busybox');
let place: Place;

beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

// ---- seccomp agents ----------------------------------------------------------------------------------------------------

/** An agent that ends before it answers anything: Node takes no descriptors from a socket, so the listener is closed. */
async function mortalAgent(path: string): Promise<Server & { readonly told: string[] }> {
  const told: string[] = [];
  const server = createServer((socket) => {
    socket.on('data', (bytes) => told.push(bytes.toString()));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return Object.assign(server, { told });
}

const closed = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

test('a container whose agent ended does not wait for it, and is let do nothing that the agent was for', async () => {
  const path = `${place.directory.path}/agent`;
  const first = await mortalAgent(path);
  const bundle = place.bundle('mkdir /made; ls -d /made; exec sleep 1000', ({ linux }) => {
    const syscalls = [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }];
    linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: path, syscalls };
  });
  await place.ok('create', '-b', bundle, 'agent');
  await place.ok('start', 'agent');
  await eventually(() => first.told.length > 0, 'the agent to be told');
  expect(await place.ok('exec', 'agent', 'sh', '-c', 'mkdir /other 2>&1 || true; ls')).toMatch(/not implemented/);
  await closed(first);
  rmSync(path, { force: true });
  // Nobody listens: what would have nobody to ask is not run.
  const { code, stderr } = await place.runts(['exec', 'agent', 'true']);
  expect(code).not.toBe(0);
  expect(stderr).toContain('seccomp agent');
  // One that was started again is told of whom it is asked by.
  const second = await mortalAgent(path);
  await place.ok('exec', 'agent', 'true');
  expect(second.told.join('')).toContain('"id":"agent"');
  await place.ok('delete', '-f', 'agent');
  await closed(second);
});

// ---- network devices ---------------------------------------------------------------------------------------------------

testIf(
  'root',
  'userns',
  'busybox',
  'netdevices',
)('a network device of a container is gone from the host, and ends with the container as the kernel has it', () => {
  const bundle = place.bundle('ls /sys/class/net', ({ linux, mounts }) => {
    linux.netDevices = { rv0: { name: 'inner' } };
    mounts.push({ destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] });
  });
  const runts = `"${process.execPath}" "${bin}" --root "${place.root}"`;
  const script = `set -e
ip link add rv0 type veth peer name rv1
${runts} run -b ${bundle} device
${runts} list -q
for try in 1 2 3 4 5 6 7 8 9 10; do ip -o link | grep -q rv || exit 0; sleep 1; done
echo left; ip -o link`;
  const { stdout, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script], { encoding: 'utf8' });
  expect({ stdout, stderr }).toEqual({ stdout: 'inner\nlo\n', stderr: '' });
});

// ---- time, keys, processes ---------------------------------------------------------------------------------------------

test('a command that joins has the clocks of the container', async () => {
  const bundle = place.bundle('exec sleep 1000', ({ linux }) => {
    linux.namespaces.push({ type: 'time' });
    linux.timeOffsets = { boottime: { secs: 100_000_000 } };
  });
  await place.ok('run', '-d', '-b', bundle, 'clocks');
  const [seconds = '0'] = (await place.ok('exec', 'clocks', 'cat', '/proc/uptime')).split('.');
  expect(Number(seconds)).toBeGreaterThan(100_000_000);
  await place.ok('delete', '-f', 'clocks');
});

test('a container that may have one process runs it, cannot start another, and takes nobody else down', async () => {
  const bundle = place.bundle('echo ran; (true); echo two', ({ process: command }) => {
    command.rlimits = [{ type: 'RLIMIT_NPROC', soft: 1, hard: 1 }];
    // The root of a host has no such limit.
    if (process.getuid?.() === 0) command.user = { uid: 1000, gid: 1000 };
  });
  const { stdout, stderr } = await place.runts(['run', '-b', bundle, 'nproc']);
  expect(stdout).toBe('ran\n');
  expect(stderr).toContain('fork');
  expect(place.left()).toEqual([]);
});

// ---- update ------------------------------------------------------------------------------------------------------------

testIf(
  'root',
  'cgroup2',
  'busybox',
)('updates at once, and a delete among them, leave one set of rules or nothing', async () => {
  const fuse = { type: 'c', major: 10, minor: 229 };
  const rule = (allow: boolean) => ({ ...fuse, allow, access: 'rwm' });
  const rules = (allow: boolean): string => JSON.stringify({ devices: [rule(allow)] });
  const word = '48771';
  const bundle = place.bundle(`exec sleep ${word}`, (config: Config) => {
    config.linux.devices = [{ ...fuse, path: '/dev/fuse', fileMode: 0o666 }];
    config.linux.resources = { devices: [{ allow: false, access: 'rwm' }, rule(true)] };
  });
  const update = (allow: boolean) => place.runts(['update', '-r', '-', 'racing'], { input: rules(allow) });
  await place.ok('run', '-d', '-b', bundle, 'racing');
  const all = await Promise.all([true, false, true, false, true].map(update));
  expect(all.map(({ code, stderr }) => ({ code, stderr }))).toEqual(all.map(() => ({ code: 0, stderr: '' })));
  // The last word is the last word: no program of an update that lost is attached still.
  const opens = ['exec', 'racing', 'sh', '-c', 'exec 3<>/dev/fuse'];
  expect((await update(false)).code).toBe(0);
  expect((await place.runts(opens)).code).not.toBe(0);
  expect((await update(true)).code).toBe(0);
  expect((await place.runts(opens)).code).toBe(0);
  const racing = [update(true), place.runts(['delete', '-f', 'racing']), update(false)];
  for (const { code, stderr } of await Promise.all(racing)) {
    if (code !== 0) expect(stderr).toMatch(/does not exist|has stopped|not running|stopped/);
  }
  expect(place.left()).toEqual([]);
  expect(processesWith(word)).toEqual([]);
});
