import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { bin } from '../cli/runts.ts';
import { Place } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

const isRoot = process.getuid?.() === 0;
let place: Place;
beforeAll(() => {
  place = new Place();
  chmodSync(place.directory.path, 0o755);
});
afterAll(() => place.remove());

// Only root can start something as the user in a cgroup that is not the user's: ours.
if (isRoot) {
  testIf('vm', 'systemd')('a limit where no cgroup is delegated is refused, with the remedy', () => {
    const bundle = place.bundle('true', ({ linux }) => {
      linux.resources = { memory: { limit: 64 * 1024 * 1024 } };
      linux.namespaces.push({ type: 'user' });
      linux.uidMappings = [{ containerID: 0, hostID: 1000, size: 1 }];
      linux.gidMappings = [{ containerID: 0, hostID: 1000, size: 1 }];
    });
    const as = ['--reuid=1000', '--regid=1000', '--clear-groups', '--inh-caps=-all'];
    const command = [process.execPath, bin, '--root', '/home/user/undelegated', 'run', '--bundle', bundle, 'one'];
    const env = { ...process.env, HOME: '/home/user', USER: 'user', XDG_RUNTIME_DIR: '/run/user/1000' };
    const { status, stderr } = spawnSync('setpriv', [...as, ...command], { encoding: 'utf8', env });
    expect(status).not.toBe(0);
    expect(stderr).toContain('no cgroup is delegated to this user');
    expect(stderr).toContain('/linux/resources/memory/limit');
    expect(stderr).toContain('systemd-run --user --scope -p Delegate=yes');
  });
} else {
  testIf('vm', 'systemd')('a user below systemd --user has every controller that was delegated', () => {
    const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
    const controllers = readFileSync(`/sys/fs/cgroup${own}/cgroup.controllers`, 'utf8').trim().split(' ');
    expect(controllers).toEqual(expect.arrayContaining(['cpu', 'cpuset', 'io', 'memory', 'pids']));
  });
}
