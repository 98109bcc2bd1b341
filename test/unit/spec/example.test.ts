import { expect, test } from 'vitest';
import { checkSpec } from '../../../lib/spec/check.ts';
import { exampleSpec } from '../../../lib/spec/example.ts';

const types = (spec: ReturnType<typeof exampleSpec>) => spec.linux.namespaces.map(({ type }) => type);
const rootless = { uid: 1000, gid: 100 };

test('what spec writes is valid, without a warning', () => {
  for (const cgroupNamespace of [false, true]) {
    for (const user of [undefined, rootless]) {
      const checked = checkSpec(exampleSpec({ hostname: 'box', cgroupNamespace, rootless: user }));
      expect(checked.issues).toBeUndefined();
      expect(checked.warnings).toEqual([]);
    }
  }
});

test('scripts find in it what they change', () => {
  const spec = exampleSpec({ hostname: 'runc', cgroupNamespace: false });
  expect(spec).toMatchObject({
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      cwd: '/',
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname: 'runc',
    linux: { resources: { devices: [{ allow: false, access: 'rwm' }] } },
  });
  expect(Object.keys(spec.process?.capabilities ?? {})).toEqual(['bounding', 'effective', 'permitted']);
  expect(types(spec)).toEqual(['pid', 'network', 'ipc', 'uts', 'mount']);
  expect(types(exampleSpec({ hostname: 'x', cgroupNamespace: true }))).toContain('cgroup');
});

test('for an ordinary user it has a user namespace with one id, and nothing that needs more', () => {
  const spec = exampleSpec({ hostname: 'x', cgroupNamespace: false, rootless });
  expect(types(spec)).toEqual(['pid', 'ipc', 'uts', 'mount', 'user']);
  expect(spec.linux).toMatchObject({
    uidMappings: [{ containerID: 0, hostID: 1000, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: 100, size: 1 }],
  });
  expect(spec.linux.resources).toBeUndefined();
  const mount = (destination: string) => spec.mounts?.find((each) => each.destination === destination);
  expect(mount('/dev/pts')?.options).not.toContain('gid=5');
  expect(mount('/sys')).toMatchObject({
    type: 'none',
    source: '/sys',
    options: expect.arrayContaining(['rbind', 'ro']),
  });
});
