import { readdirSync, readlinkSync } from 'node:fs';
import { afterAll, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Config, Place } from './oci.ts';

const place = new Place();
afterAll(() => place.remove());
const withBusybox = testIf('busybox', 'userns');
const withRoot = testIf('busybox', 'root');

/** Runs a bundle to its end. */
const ran = (id: string, command: string, change?: (config: Config) => void, ...options: string[]) =>
  place.runts(['run', '--bundle', place.bundle(command, change), ...options, id]);

const killsMkdir = {
  defaultAction: 'SCMP_ACT_ALLOW',
  syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_KILL' }],
};

withBusybox('of a variable that is given twice the last value counts, and an empty HOME is none', async () => {
  const { stdout } = await ran('env', 'env', ({ process }) => process.env.push('A=1', 'HOME=/x', 'A=2', 'HOME='));
  expect(
    stdout
      .split('\n')
      .filter((line) => /^(A|HOME)=/.test(line))
      .sort(),
  ).toEqual(['A=2', 'HOME=/root']);
});

withBusybox('an init that waits for its start has nothing of the host open', async () => {
  await place.ok('create', '--bundle', place.bundle('true'), 'open');
  const { pid } = await place.state('open');
  const fds = readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) > 2);
  expect(fds.map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).replace(/\d+/, 'N'))).toEqual(
    fds.map(() => 'socket:[N]'),
  );
  await place.ok('delete', '--force', 'open');
});

withBusybox('a hook of the container is bound by its filter', async () => {
  const { code, stderr } = await ran('hook', 'true', (config) => {
    config.linux.seccomp = killsMkdir;
    config.hooks = { startContainer: [{ path: '/bin/sh', args: ['sh', '-c', 'exec mkdir /dev/shm/x'] }] };
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(/error running startContainer hook #0: .*bad system call/);
});

withBusybox(
  'a profile that notifies an agent which is not there is an error, one that only tells it is none',
  async () => {
    const told = { defaultAction: 'SCMP_ACT_ALLOW', listenerPath: `${place.directory.path}/nobody` };
    const notifies = { ...told, syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }] };
    const with_ = (seccomp: Config) => ran('agent', 'echo here', (config) => (config.linux.seccomp = seccomp));
    expect(await with_(notifies)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('failed to connect with seccomp agent'),
    });
    expect(await with_(told)).toMatchObject({ code: 0, stdout: 'here\n' });
  },
);

withRoot('without pivot_root the root is moved, and nothing of the host is left', async () => {
  const { code, stdout } = await ran('moved', 'cut -d" " -f5 /proc/self/mountinfo; ls /..', undefined, '--no-pivot');
  expect(code).toBe(0);
  expect(stdout.split('\n')).toEqual(expect.arrayContaining(['/', '/proc', '/dev', 'bin']));
  expect(stdout).not.toContain(place.rootfs.path);
});

withBusybox('what a terminal shows is as the command wrote it where our output is a file', async () => {
  const { stdout } = await ran('tty', 'tty; echo a', ({ process }) => (process.terminal = true));
  expect(stdout).toBe('/dev/pts/0\na\n');
});

withBusybox('the clocks of a time namespace are told inside', async () => {
  const { stdout } = await ran('clocks', 'cat /proc/self/timens_offsets', ({ linux }) => {
    linux.namespaces.push({ type: 'time' });
    linux.timeOffsets = { monotonic: { secs: 7881, nanosecs: 2718281 }, boottime: { secs: 1337, nanosecs: 3 } };
  });
  expect(stdout.replace(/ +/g, ' ')).toBe('monotonic 7881 2718281\nboottime 1337 3\n');
});

withRoot('a working directory that its user may enter, or only root, is the command’s', async () => {
  const { stdout } = await ran('cwd', 'pwd', ({ process, mounts }) => {
    mounts.push({ destination: '/closed', type: 'tmpfs', source: 'tmpfs', options: ['mode=700'] });
    process.user = { uid: 1000, gid: 1000 };
    process.cwd = '/closed';
  });
  expect(stdout).toBe('/closed\n');
});

withBusybox('a socket for notifications that is not there is none', async () => {
  const bundle = place.bundle('printenv NOTIFY_SOCKET || echo none');
  const env = { NOTIFY_SOCKET: `${place.directory.path}/none` };
  const { code, stdout, stderr } = await place.runts(['run', '--bundle', bundle, 'notify'], { env });
  expect([code, stdout]).toEqual([0, 'none\n']);
  expect(stderr).toContain('NOTIFY_SOCKET');
});
