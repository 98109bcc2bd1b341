import { expect, test } from 'vitest';
import { planContainer } from '../../../lib/plan/container.ts';
import { explain } from '../../../lib/program/explain.ts';
import type { Mount } from '../../../lib/spec/types.ts';
import { facts, request } from '../../plans/requests.ts';

/** The ops of one more mount, as text. */
function mountOps(mount: Mount, kind: 'root' | 'rootless' | 'single-id' = 'single-id', drop: string[] = []): string[] {
  const asked = request(
    (spec) => {
      spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => !drop.includes(type));
      spec.mounts = [mount as never];
    },
    { bundle: '/bundle' },
  );
  const { segment } = planContainer(asked, facts(kind));
  const lines = explain({ inputs: [], ops: segment.ops }).split('\n');
  return lines
    .filter((line) => line.includes('; /mounts/0'))
    .map((line) =>
      line
        .slice(5)
        .replace(/ +; .*/, '')
        .replace(/ +/g, ' '),
    );
}

test('a bind of an ordinary user is cloned in the init, below the bundle when it is relative', () => {
  expect(mountOps({ destination: '/data', type: 'bind', source: 'data', options: ['rbind', 'rro'] })).toEqual([
    'clone_mount dst=bind4 path=/bundle/data recursive',
    'mount_attributes src=bind4 set=ro recursive',
    'attach src=bind4 root=root3 path=data',
  ]);
});

test('what would loosen a bind is tried, since the host may have locked it', () => {
  const options = ['bind', 'rw', 'nosuid', 'noatime'];
  expect(mountOps({ destination: '/data', source: '/data', options })).toEqual([
    'clone_mount dst=bind4 path=/data',
    'mount_attributes src=bind4 clear=nosymfollow [unless EPERM]',
    'mount_attributes src=bind4 set=noatime clear=ro,atime,nodiratime [unless EPERM]',
    'mount_attributes src=bind4 set=nosuid',
    'attach src=bind4 root=root3 path=data',
  ]);
});

test('a bind that root makes comes from a helper, and is cut off from the host before it is attached', () => {
  expect(mountOps({ destination: '/data', source: '/data', options: ['rbind'] }, 'root')).toEqual([
    'mount_attributes src=bind4 propagation=private recursive',
    'attach src=bind4 root=root3 path=data',
  ]);
});

test('a bind that receives mounts never sends any', () => {
  const ops = mountOps({ destination: '/data', source: '/data', options: ['rbind', 'rshared'] });
  expect(ops.slice(1, 3)).toEqual([
    'mount_attributes src=bind4 propagation=slave recursive',
    'mount_attributes src=bind4 propagation=shared recursive',
  ]);
});

test('a namespace that is shared with the host is shown by a clone of the host’s own mount', () => {
  const sysfs = mountOps({ destination: '/sys', type: 'sysfs', options: ['ro'] }, 'rootless', ['network']);
  expect(sysfs).toEqual([
    'fsmount dst=sysfs4 fstype=sysfs options=[] attributes=ro [unless EPERM,EBUSY] [skip 2]',
    'clone_mount dst=sysfs4 path=/sys recursive',
    'mount_attributes src=sysfs4 set=ro,nosuid,nodev,noexec recursive',
    'attach src=sysfs4 root=root3 path=sys ordinary',
  ]);
  const proc = { destination: '/proc', type: 'proc' };
  expect(mountOps(proc, 'rootless', ['pid'])[1]).toBe('clone_mount dst=proc4 path=/proc recursive');
  expect(mountOps(proc, 'rootless')[1]).toBe('attach src=proc4 root=root3 path=proc ordinary');
});

test('a control group of nobody’s stands in for the host’s', () => {
  expect(mountOps({ destination: '/sys/fs/cgroup', type: 'cgroup' }).slice(0, 2)).toEqual([
    'fsmount dst=cgroup4 fstype=cgroup2 options=[] attributes=nosuid,nodev,noexec [unless EPERM,EBUSY,ENODEV,EINVAL] [skip 1]',
    'fsmount dst=cgroup4 fstype=tmpfs options=[mode=755] attributes=ro,nosuid,nodev,noexec',
  ]);
});

test('a gid that is not mapped is not asked of devpts', () => {
  const devpts = { destination: '/dev/pts', type: 'devpts', options: ['gid=5', 'mode=0620'] };
  expect(mountOps(devpts)[0]).toContain('options=[mode=0620]');
  expect(mountOps(devpts, 'rootless')[0]).toContain('options=[gid=5 mode=0620]');
});

test('as root without a user namespace, devices open only where they were given', () => {
  const tmpfs = { destination: '/run', type: 'tmpfs', options: ['dev'] };
  expect(mountOps(tmpfs, 'root', ['user'])[0]).toContain('attributes=nodev');
  expect(mountOps(tmpfs, 'root')[0]).not.toContain('nodev');
});

test.each([
  ['ERR_SPEC', { destination: '/x', type: 'bind', source: '/x', options: ['tmpcopyup'] }],
  ['ERR_SPEC', { destination: '/x', type: 'bind' }],
  ['ERR_SPEC', { destination: '/x' }],
  ['ERR_SPEC', { destination: '/x', type: 'proc', options: ['tmpcopyup'] }],
  ['ERR_SPEC', { destination: '/x', type: 'tmpfs', options: ['uid=4000000000'] }],
  ['ERR_UNSUPPORTED', { destination: '/x', source: '/x', options: ['bind', 'dest-nofollow'] }],
  ['ERR_UNSUPPORTED', { destination: '/x', source: '/x', options: ['bind', 'idmap'] }],
] as const)('a mount that cannot be had is refused with %s: %j', (code, mount) => {
  expect(() => mountOps(mount)).toThrow(expect.objectContaining({ code }));
});

test('a tmpfs with tmpcopyup is filled before it is read-only, and before it is attached', () => {
  const options = ['tmpcopyup', 'ro', 'mode=0700', 'nosuid'];
  expect(mountOps({ destination: '/var/lib', type: 'tmpfs', options })).toEqual([
    'fsmount dst=tmpfs4 fstype=tmpfs options=[mode=0700] attributes=nosuid',
    'directory root=root3 path=var/lib mode=0755',
    'open_below dst=below5 root=root3 path=var/lib directory',
    'copy_tree src=below5 dst=tmpfs4',
    'attach src=tmpfs4 root=root3 path=var/lib',
    'mount_attributes src=tmpfs4 set=ro',
  ]);
});

/** Every op that a configuration with these mounts comes to, as lines. */
function allOps(mounts: Mount[], kind: 'root' | 'rootless' | 'single-id' = 'single-id', drop: string[] = []): string[] {
  const asked = request(
    (spec) => {
      spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => !drop.includes(type));
      spec.mounts = mounts as never;
    },
    { bundle: '/bundle', root: { kind: 'directory', path: '/bundle/rootfs' } },
  );
  const { segment } = planContainer(asked, facts(kind));
  return explain({ inputs: [], ops: segment.ops }).split('\n');
}

test('a read-only /dev is made read-only after the last that is made in it', () => {
  const lines = allOps([
    { destination: '/dev', type: 'tmpfs', options: ['ro', 'mode=755'] },
    { destination: '/dev/pts', type: 'devpts' },
  ]);
  const protectedAt = lines.findIndex((line) => /mount_attributes +src=tmpfs\d+ set=ro/.test(line));
  const lastInDev = lines.map((line) => /root=tmpfs\d/.test(line)).lastIndexOf(true);
  expect(lastInDev).toBeGreaterThan(0);
  expect(protectedAt).toBeGreaterThan(lastInDev);
});

test('without a user namespace, a bind with any word on attributes has none of its source', () => {
  const options = ['bind', 'ro'];
  const ops = mountOps({ destination: '/data', source: '/data', options }, 'root', ['user']);
  expect(ops.slice(1, 4)).toEqual([
    'mount_attributes src=bind4 clear=nosymfollow [unless EPERM]',
    'mount_attributes src=bind4 clear=nosuid,nodev,noexec [unless EPERM]',
    'mount_attributes src=bind4 set=ro,nodev',
  ]);
});

test('words that take back a setting of access times change nothing about a bind', () => {
  const options = ['bind', 'atime', 'norelatime', 'nostrictatime', 'noatime', 'atime'];
  expect(mountOps({ destination: '/data', source: '/data', options })).toEqual([
    'clone_mount dst=bind4 path=/data',
    'mount_attributes src=bind4 clear=nosymfollow [unless EPERM]',
    'attach src=bind4 root=root3 path=data',
  ]);
});

test('a bind’s source in the root, on what was mounted there before, is taken from the container and in order', () => {
  const lines = allOps([
    { destination: '/mnt', type: 'tmpfs' },
    { destination: '/bundle/rootfs/final', source: '/bundle/rootfs/mnt/x', options: ['rbind'] },
    { destination: '/etc2', source: '/bundle/rootfs/etc', options: ['bind'] },
  ]);
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  expect(at(/attach .*path=mnt/)).toBeLessThan(at(/clone_below .*root=tmpfs\d+ path=x /));
  expect(at(/attach .*path=final/)).toBeGreaterThan(0);
  // No link of the image leads out of it: on what is not mounted over, too.
  expect(at(/clone_below .*root=\w+ path=etc/)).toBeGreaterThan(0);
});

test('a mount on / takes the place of the root', () => {
  expect(mountOps({ destination: '/', source: '/other', options: ['rbind'] })).toEqual([
    'clone_mount dst=bind4 path=/other recursive',
    'detach src=root3',
    'attach_host src=bind4 path=/',
  ]);
});

test('what is mounted read-only from a device is opened read-only', () => {
  const ext4 = { destination: '/x', type: 'ext4', source: '/dev/vdb', options: ['ro', 'noload'] };
  expect(mountOps(ext4)[0]).toBe(
    'fsmount dst=ext5 fstype=ext4 options=[source=/dev/vdb ro noload] attributes=ro'.replace('ext5', 'ext4'),
  );
});

test('warnings say what is left out', () => {
  const plan = (mounts: Mount[], label?: string) => {
    const asked = request((spec) => {
      spec.mounts = mounts as never;
      if (label !== undefined) spec.linux.mountLabel = label;
    });
    return planContainer(asked, facts('single-id')).warnings;
  };
  expect(plan([])).toBe(undefined);
  expect(plan([{ destination: '/x', source: '/x', options: ['bind', 'sync'] }])).toEqual([
    { origin: '/mounts/0/options', message: expect.stringContaining('sync') },
  ]);
  expect(plan([{ destination: '/dev/pts', type: 'devpts', options: ['gid=5'] }])).toEqual([
    { origin: '/mounts/0/options', message: expect.stringContaining('gid=5 is left out') },
  ]);
  expect(plan([], 'system_u:object_r:container_file_t:s0')).toEqual([
    { origin: '/linux/mountLabel', message: expect.stringContaining('SELinux') },
  ]);
});

test('a label goes to new file systems where SELinux is at work, but to none that has one or cannot', () => {
  const label = 'system_u:object_r:container_file_t:s0:c1,c2';
  const asked = request(
    (spec) => {
      spec.linux.mountLabel = label;
      spec.mounts = [
        { destination: '/a', type: 'tmpfs' },
        { destination: '/b', type: 'tmpfs', options: ['context=mine'] },
        { destination: '/proc', type: 'proc' },
      ];
    },
    { lookups: { devices: {}, links: {}, kcore: false, selinux: true } },
  );
  const made = planContainer(asked, facts('single-id')).segment.ops.filter(({ op }) => op === 'fsmount');
  expect(made.map(({ operands }) => 'options' in operands && operands.options)).toEqual([
    [`context=${label}`],
    ['context=mine'],
    [],
  ]);
});

test('owners of a single mount come from its own maps, from crun’s option, or from the container', () => {
  const owners = (mount: Mount) => {
    const asked = request((spec) => {
      spec.mounts = [mount as never];
    });
    return planContainer(asked, facts('root')).inputs.find(({ origin }) => origin === '/mounts/0');
  };
  const bind = { destination: '/x', source: '/x' };
  const line = { containerID: 1, hostID: 2, size: 3 };
  expect(owners({ ...bind, options: ['bind'], uidMappings: [line], gidMappings: [line] })).toMatchObject({
    owners: { uids: [{ container: 1, host: 2, size: 3 }], recursive: false },
  });
  expect(owners({ ...bind, options: ['rbind', 'ridmap=uids=0-5-1#9-7-1;gids=@1-3-2'] })).toMatchObject({
    owners: {
      uids: [
        { container: 0, host: 5, size: 1 },
        { container: 9, host: 7, size: 1 },
      ],
      gids: [{ container: 1, size: 2, host: expect.any(Number) }],
      recursive: true,
    },
  });
  expect(owners({ ...bind, options: ['bind', 'idmap'] })).toMatchObject({ owners: { uids: [{ container: 0 }] } });
  expect(owners({ ...bind, options: ['bind'] })).toMatchObject({ idmap: false, owners: undefined });
});
