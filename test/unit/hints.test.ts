import { expect, test } from 'vitest';
import { type Circumstance, hintFor } from '../../lib/hints.ts';

const hint = (at: Circumstance['at'], errno: string, more: Partial<Circumstance> = {}) =>
  hintFor({ at, errno, detail: '', ...more }) ?? 'none';

test.each([
  ['fsmount', 'EPERM', { operands: { fstype: 'proc' } }, '/proc is partly hidden'],
  ['fsmount', 'EPERM', { operands: { fstype: 'ext4' } }, 'cannot be mounted in a user namespace'],
  ['fsmount', 'EINVAL', { operands: { fstype: 'devpts' }, detail: 'gid=5', step: 'fsconfig' }, 'gid of devpts'],
  ['fsmount', 'EINVAL', { operands: { fstype: 'tmpfs' }, detail: 'bogus=1', step: 'fsconfig' }, 'tmpfs does not have'],
  ['fsmount', 'EINVAL', { operands: { fstype: 'overlay' } }, 'Overlay'],
  ['spawn', 'ENOSPC', {}, 'max_user_namespaces'],
  ['clone_mount', 'ENOENT', {}, 'must exist on this host'],
  ['attach', 'ENOTDIR', {}, 'file on a file'],
  ['idmap', 'EINVAL', {}, 'id-mapped'],
  ['hostname', 'EINVAL', {}, '64 bytes'],
  ['ids', 'EPERM', { step: 'setgroups' }, 'additionalGids'],
  ['chdir', 'ENOENT', {}, 'working directory'],
  ['rlimit', 'EPERM', {}, 'ulimit'],
  ['seccomp', 'EINVAL', {}, '4096 instructions'],
  ['node', 'EPERM', {}, 'bind the device'],
  ['cgroup', 'EBUSY', {}, 'internal processes'],
  ['exec', 'ENOEXEC', {}, '#! line'],
  ['hook', 'ECANCELED', {}, 'last words'],
  ['hook', 'ETIMEDOUT', {}, 'longer `timeout`'],
  ['listener', 'EACCES', {}, 'noNewPrivileges'],
  ['descriptors', 'EINVAL', {}, 'RLIMIT_NOFILE'],
  ['copy_tree', 'ENOSPC', {}, 'tmpcopyup'],
  ['move_root', 'EINVAL', {}, '--no-pivot'],
  ['reconfigure', 'EINVAL', {}, 'can change'],
  ['net_device', 'EEXIST', {}, 'choose another one'],
  ['attach', 'ENOSYS', {}, 'seccomp profile of the container'],
] as const)('%s refused with %s has its own advice', (at, errno, more, part) => {
  expect(hint(at, errno, more)).toContain(part);
});

test('what nobody can do anything about has no advice', () => {
  expect(hint('pivot', 'EIO')).toBe('none');
});

const facts = {
  kernel: '6.8',
  arch: 'x64',
  uid: 1000,
  gid: 1000,
  privileged: false,
  subordinate: { uids: [], gids: [] },
  cgroup: {
    mode: 'unified',
    mount: '/sys/fs/cgroup',
    own: undefined,
    parent: undefined,
    controllers: [],
    occupied: false,
    legacy: [],
  },
  hostRoot: {},
} as const;

test('an ordinary user without subordinate ids is told so where ids are the matter', () => {
  expect(hint('ids', 'EINVAL', { facts })).toContain('No subordinate ids were found');
  expect(hint('ids', 'EINVAL', { facts: { ...facts, privileged: true } })).not.toContain('No subordinate');
});

test('what hides a part of /proc is named', () => {
  const hidden = { ...facts, hiddenProc: ['/proc/keys', '/proc/sys'] };
  expect(hint('fsmount', 'EPERM', { operands: { fstype: 'proc' }, facts: hidden })).toContain('/proc/keys, /proc/sys');
});

test.each([
  ['attach', 'ENOSYS', 'openat2', '', 'openat2 is in Linux since 5.6'],
  ['find', 'ENOSYS', 'faccessat', '/bin/sh', 'faccessat2 is in Linux since 5.8'],
  ['find', 'EPERM', 'openat2', '/bin/sh', 'openat2 is in Linux since 5.6'],
  ['state', 'EPERM', 'open', 'memfd', 'memfd_create is in Linux since 3.17'],
  ['spawn', 'EPERM', 'close_range', '', 'close_range is in Linux since 5.9'],
] as const)(
  'at %s, %s in the step %s is the word of a kernel or a filter without the call',
  (at, errno, step, detail, part) => {
    expect(hint(at, errno, { step, detail })).toContain(part);
    expect(hint(at, errno, { step, detail })).toContain('the seccomp profile of the container');
  },
);

test('root that is refused what it has the capability for is told of a filter, and others of what they lack', () => {
  const proc = { operands: { fstype: 'proc' }, step: 'fsmount' };
  expect(hint('fsmount', 'EPERM', { ...proc, facts: { ...facts, privileged: true } })).toContain(
    'container that you are in refuses fsmount',
  );
  expect(hint('fsmount', 'EPERM', { ...proc, facts })).toContain('/proc is partly hidden');
  const hiddenProc = ['/proc/kcore'];
  expect(hint('fsmount', 'EPERM', { ...proc, facts: { ...facts, privileged: true, hiddenProc } })).toContain(
    '/proc/kcore',
  );
  expect(hint('spawn', 'EPERM', { step: 'clone', facts: { ...facts, privileged: true } })).toContain('refuses clone3');
});
