import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { bin } from '../cli/runts.ts';
import { type Config, Place } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

/** The cases of test/oci/rootless.test.ts that a delegated cgroup decides, and those that only root can prepare. */
const userns = '/proc/sys/kernel/unprivileged_userns_clone';
const isRoot = process.getuid?.() === 0;
let place: Place;
let containers = 0;
beforeAll(() => {
  place = new Place();
  chmodSync(place.directory.path, 0o755);
});
afterAll(() => place.remove());

const run = (command: string, change: (config: Config) => void) =>
  place.runts(['run', '--bundle', place.bundle(command, change), `delegated${++containers}`]);

function showCgroup({ mounts }: Config, ...options: string[]): void {
  mounts.push({ destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] });
  mounts.push({ destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options });
}

if (!isRoot) {
  const test = testIf('vm', 'cgroup2:memory', 'cgroup2:pids', 'busybox');

  test('memory limit with cgroup delegation', async () => {
    const ended = await run('cat /sys/fs/cgroup/memory.max', (config) => {
      showCgroup(config, 'ro');
      config.linux.resources = { memory: { limit: 64 << 20 } };
    });
    expect(ended, ended.stderr).toMatchObject({ code: 0, stdout: `${64 << 20}\n` });
  });

  test('pids limit + relative cgroupsPath with delegation', async () => {
    const ended = await run('cat /sys/fs/cgroup/pids.max; cat /proc/self/cgroup', (config) => {
      showCgroup(config, 'ro');
      config.linux.cgroupsPath = 'rl/x';
      config.linux.resources = { pids: { limit: 20 } };
    });
    expect(ended, ended.stderr).toMatchObject({ code: 0, stdout: '20\n0::/\n' });
  });

  test('pids limit + absolute cgroupsPath that is not delegated', async () => {
    const { code, stderr } = await run('true', ({ linux }) => {
      linux.cgroupsPath = '/rl-x';
      linux.resources = { pids: { limit: 20 } };
    });
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('permission denied');
    expect(stderr).toContain('cannot make the cgroup /sys/fs/cgroup/rl-x: EACCES');
    expect(stderr).toContain('config /linux/cgroupsPath');
    expect(stderr).toContain('a relative path');
    expect(existsSync('/sys/fs/cgroup/rl-x')).toBe(false);
  });

  test('cgroup mount, cgroup ns: the container may divide what it has', async () => {
    const line = 'cd /sys/fs/cgroup; mkdir own part; echo $$ > own/cgroup.procs; cat /proc/self/cgroup';
    const ended = await run(line, (config) => showCgroup(config, 'rw'));
    expect(ended, ended.stderr).toMatchObject({ code: 0, stdout: '0::/own\n' });
  });
} else {
  testIf('vm', 'busybox')(
    'user namespaces that the host keeps to itself are refused with the setting that does it',
    () => {
      // Debian's kernels have it.
      expect(existsSync(userns)).toBe(true);
      const before = readFileSync(userns, 'utf8');
      const bundle = place.bundle('true', ({ linux }) => {
        linux.namespaces.push({ type: 'user' });
        linux.uidMappings = [{ containerID: 0, hostID: 1000, size: 1 }];
        linux.gidMappings = [{ containerID: 0, hostID: 1000, size: 1 }];
      });
      const as = ['--reuid=1000', '--regid=1000', '--clear-groups', '--inh-caps=-all'];
      const command = [process.execPath, bin, '--root', '/home/user/refused', 'run', '--bundle', bundle, 'one'];
      const env = { ...process.env, HOME: '/home/user', USER: 'user', XDG_RUNTIME_DIR: '/run/user/1000' };
      writeFileSync(userns, '0');
      try {
        const { status, stderr } = spawnSync('setpriv', [...as, ...command], { encoding: 'utf8', env });
        expect(status).toBe(1);
        expect(stderr).toMatch(/EPERM.*kernel\.unprivileged_userns_clone/);
      } finally {
        writeFileSync(userns, before);
      }
    },
  );
}
