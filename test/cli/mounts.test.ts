import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Bundles, bundles, type Config, ordinary } from './bundle.ts';

let on: Bundles;

beforeAll(() => {
  on = bundles();
});

afterAll(() => on.remove());

const run = (name: string, args: string[], change: (config: Config) => void) =>
  on.runts(['run', '-b', on.make(name, args, change), name]);

test('a /dev that is read-only has its devices all the same', async () => {
  const script = 'echo x >/dev/null && echo written; touch /dev/new; grep -o " /dev ro" /proc/self/mountinfo';
  const { stdout, stderr } = await run('dev', ['sh', '-c', script], (config) => {
    config.mounts.find((mount: Config) => mount.destination === '/dev').options.push('ro');
  });
  expect(stdout).toBe('written\n /dev ro\n');
  expect(stderr).toMatch(/touch: .*Read-only file system/);
});

test('a bind’s source in the root file system is what earlier mounts have made of it', async () => {
  const { stdout } = await run('order', ['sh', '-c', 'touch /tmp/b/seen && ls /tmp/a/deep'], (config) => {
    config.mounts.push(
      { destination: '/tmp', type: 'tmpfs' },
      { destination: '/tmp/a/deep', type: 'tmpfs' },
      { destination: '/tmp/b', source: `${config.root.path}/tmp/a/deep`, options: ['bind'] },
    );
  });
  expect(stdout).toBe('seen\n');
});

test.skipIf(ordinary)('a bind with words on its attributes has none of its source', async () => {
  const script = 'grep -o " /tmp/b [a-z,]*" /proc/self/mountinfo';
  const { stdout } = await run('flags', ['sh', '-c', script], (config) => {
    config.mounts.push(
      { destination: '/tmp', type: 'tmpfs' },
      { destination: '/tmp/a', type: 'tmpfs', options: ['nosuid', 'noexec'] },
      { destination: '/tmp/b', source: `${config.root.path}/tmp/a`, options: ['bind', 'ro'] },
    );
  });
  expect(stdout).toMatch(/^ \/tmp\/b ro,(nodev,)?relatime\n$/);
});

test('members of a configuration that are null are not there', async () => {
  const { code, stderr } = await run('null', ['true'], (config) => {
    Object.assign(config, { hooks: null, annotations: null });
    Object.assign(config.linux, { devices: null, sysctl: null, timeOffsets: null });
    Object.assign(config.process, { rlimits: null, ioPriority: { class: 'IOPRIO_CLASS_BE' } });
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
