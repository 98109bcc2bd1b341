import { expect, test } from 'vitest';
import { planContainer } from '../../lib/plan/container.ts';
import { helperForMounts } from '../../lib/plan/helper.ts';
import { explain } from '../../lib/program/explain.ts';
import type { Op, OpName } from '../../lib/program/ops.ts';
import { defaultProfile } from '../../lib/seccomp/default.ts';
import { type DraftSpec, facts, request } from './requests.ts';

const ops = (edit: (spec: DraftSpec) => void, options = {}, kind: 'root' | 'rootless' = 'rootless') =>
  planContainer(request(edit, options), facts(kind)).segment.ops;
const names = (list: readonly Op[]) => list.map(({ op }) => op);
const where = (list: readonly Op[], name: OpName) =>
  list.filter(({ op }) => op === name).map(({ operands }) => operands);

test('a helper maps owners as far as it can, and sends mounts by their index', () => {
  const mounts = [
    { kind: 'mount', register: 'a', source: '/a', recursive: true, idmap: true, origin: 'a' },
    { kind: 'mount', register: 'b', source: '/b', recursive: false, idmap: false, origin: 'b' },
  ] as const;
  expect(explain(helperForMounts(mounts).segment)).toMatchInlineSnapshot(`
    "     inputs            userns1
      0  clone_mount       dst=mount0 path=/a recursive                                   ; a
      1  idmap             src=mount0 userns=userns1 recursive [unless EINVAL,EPERM,ENOSYS,EOPNOTSUPP] [skip 1]  ; a
      2  idmap             src=mount0 userns=userns1 [unless EINVAL,EPERM,ENOSYS,EOPNOTSUPP]  ; a
      3  send_handle       src=mount0 tag=3                                               ; a
      4  clone_mount       dst=mount2 path=/b                                             ; b
      5  send_handle       src=mount2 tag=4                                               ; b
      6  halt                                                                             ; default: end
    "
  `);
  expect(helperForMounts(mounts.slice(1))).toMatchObject({ segment: { inputs: [] }, users: [] });
});

test('masked and read-only paths of /proc go through the procfs that was mounted', () => {
  const hidden = ops(() => {}).filter(({ op }) => op === 'mask' || op === 'readonly');
  const roots = hidden.map(({ origin, operands }) => [origin.split('/')[2], 'root' in operands ? operands.root : '']);
  expect(new Set(roots.map(String))).toEqual(
    new Set(['maskedPaths,proc4', 'maskedPaths,sysfs7', 'readonlyPaths,proc4']),
  );
});

test('without a mounted procfs, kernel parameters go through a private one', () => {
  const list = ops((spec) => {
    spec.mounts = [];
    spec.linux.sysctl = { 'net.ipv4.ip_forward': '1' };
    spec.process.oomScoreAdj = 5;
  });
  expect(where(list, 'fsmount')).toEqual([{ dst: 'proc10', fstype: 'proc', options: [], attributes: 14 }]);
  expect(where(list, 'write').map((operands) => 'root' in operands && operands.root)).toEqual(['proc10', 'proc10']);
  expect(list.some(({ op, operands }) => op === 'attach' && 'src' in operands && operands.src === 'proc10')).toBe(
    false,
  );
});

test('kernel parameters are written before their files become read-only', () => {
  const list = names(
    ops((spec) => {
      spec.linux.sysctl = { 'net.ipv4.ip_forward': '1' };
    }),
  );
  expect(list.indexOf('write')).toBeLessThan(list.indexOf('readonly'));
});

test('a /dev of the host’s gets no devices', () => {
  const list = ops((spec) => {
    spec.mounts = [{ destination: '/dev', type: 'bind', source: '/dev', options: ['rbind'] }];
  });
  expect(names(list)).not.toContain('symlink');
});

test('devices are made by root without a user namespace that may use any, and cloned by everybody else', () => {
  const edit = (user: boolean) => (spec: DraftSpec) => {
    spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => user || type !== 'user');
    spec.linux.devices = [
      { type: 'c', path: '/dev/fuse', major: 10, minor: 229, fileMode: 0o100600, uid: 1 },
      { type: 'p', path: '/dev/pipe' },
    ];
    spec.linux.resources = { devices: [{ allow: true, access: 'rwm' }] };
  };
  const base = { root: 'tmpfs5', major: 10, minor: 229, uid: 1, gid: 0 };
  const lookups = { devices: { 'c 10:229': '/dev/misc/fuse' }, links: {}, kcore: false, selinux: false };
  expect(where(ops(edit(false), { lookups }, 'root'), 'node')).toContainEqual({
    ...base,
    path: 'fuse',
    mode: 0o020600,
  });
  expect(where(ops(edit(true), { lookups }), 'node')).toEqual([
    // Which fails there, and tells what else is at its path.
    { ...base, path: 'fuse', mode: 0o020600 },
    { root: 'tmpfs5', path: 'pipe', mode: 0o010666, major: 0, minor: 0, uid: 0, gid: 0 },
  ]);
  const clones = where(ops(edit(true), { lookups }), 'clone_mount');
  expect(clones).toContainEqual(expect.objectContaining({ path: '/dev/misc/fuse' }));
  expect(() => ops(edit(true))).toThrow(expect.objectContaining({ origin: '/linux/devices/0' }));
});

test('a stream is given to a user other than root, if it is ours to give', () => {
  const edit = (spec: DraftSpec) => {
    spec.process.user = { uid: 1000, gid: 1000 };
  };
  expect(where(ops(edit), 'own')).toHaveLength(3);
  expect(where(ops(edit, { ownStdio: false }), 'own')).toEqual([]);
  expect(where(ops(edit, { ownStdio: false, stdio: 'terminal' }), 'own')).toHaveLength(1);
  expect(
    where(
      ops(() => {}),
      'own',
    ),
  ).toEqual([]);
});

test('a filter without no_new_privs comes while there is a capability to install it', () => {
  const list = names(
    ops((spec) => {
      spec.process.noNewPrivileges = false;
      spec.linux.seccomp = defaultProfile({ capabilities: [], arch: 'x64' }) as never;
    }),
  );
  expect(list.indexOf('seccomp')).toBeLessThan(list.indexOf('ids'));
  expect(list).not.toContain('no_new_privs');
});

test('a profile is compiled once', () => {
  const seccomp = defaultProfile({ capabilities: [], arch: 'x64' }) as never;
  const filter = () =>
    where(
      ops((spec) => (spec.linux.seccomp = seccomp)),
      'seccomp',
    )[0];
  const [one, two] = [filter(), filter()] as [{ filter: Uint8Array }, { filter: Uint8Array }];
  expect(one.filter).toBe(two.filter);
});

test('the death signal is for a command without a reaper', () => {
  expect(
    where(
      ops(() => {}, { reap: false, deathSignal: true }),
      'death_signal',
    ),
  ).toEqual([{ signal: 9 }]);
  expect(
    where(
      ops(() => {}, { reap: true, deathSignal: true }),
      'death_signal',
    ),
  ).toEqual([]);
});

test('a joined network is entered first, and its loopback left alone', () => {
  const edit = (spec: DraftSpec) => {
    spec.linux.namespaces = [{ type: 'mount' }, { type: 'network', path: '/run/netns/x' }];
  };
  const plan = planContainer(request(edit), facts('root'));
  expect(names(plan.segment.ops).slice(0, 3)).toEqual(['undumpable', 'expect_namespace', 'join']);
  expect(names(plan.segment.ops)).not.toContain('link_up');
  expect(plan.inputs[plan.inputs.length - 1]).toMatchObject({ kind: 'namespace', path: '/run/netns/x' });
});

test('whatever is bound of the host is cloned before anything is mounted: a bind of "/" shows the host', () => {
  const plan = ops(
    (spec) => {
      spec.mounts?.push({ destination: '/host', source: '/', options: ['rbind'] });
    },
    { root: { kind: 'host' } },
  );
  const names = plan.map(({ op }) => op);
  expect(where(plan, 'clone_mount')).toContainEqual(expect.objectContaining({ path: '/' }));
  const ofRoot = plan.findIndex(
    ({ op, operands }) => op === 'clone_mount' && 'path' in operands && operands.path === '/',
  );
  expect(ofRoot).toBeLessThan(names.indexOf('attach_host'));
});

test('what is not mapped is an error with the remedy, not a failure in the init', () => {
  const edit = (spec: DraftSpec) => {
    spec.process.user = { uid: 0, gid: 0, additionalGids: [5] };
  };
  expect(() => planContainer(request(edit), facts('single-id'))).toThrow(
    expect.objectContaining({ code: 'ERR_UNSUPPORTED', hint: expect.stringContaining('newuidmap') }),
  );
});

test.each<[string, (spec: DraftSpec) => void, object]>([
  ['/hooks/poststop', (s) => (s.hooks = { poststop: [{ path: '/x' }] }), {}],
  ['/linux/netDevices/eth0', (s) => (s.linux.netDevices = { eth0: {} }), { reap: false, oci: true, start: 'socket' }],
])('what cannot be had is refused by its name: %s', (origin, edit, options) => {
  expect(() => planContainer(request(edit, options), facts('rootless'))).toThrow(
    expect.objectContaining({ code: 'ERR_UNSUPPORTED', origin }),
  );
});

test('a default container is planned in well under a millisecond', () => {
  const asked = request((spec) => {
    spec.linux.seccomp = defaultProfile({ capabilities: [], arch: 'x64' }) as never;
  });
  const recorded = facts('rootless');
  const times = Array.from({ length: 300 }, () => {
    const start = performance.now();
    planContainer(asked, recorded);
    return performance.now() - start;
  });
  expect(Math.min(...times)).toBeLessThan(0.5);
});

test('secrets of the host stay unreadable: owners below /etc, /opt and /usr/local are never mapped', () => {
  const hostRoot = { usr: 'directory', 'usr/local': 'directory', etc: 'directory', opt: 'directory' } as const;
  const { inputs } = planContainer(
    request(() => {}, { root: { kind: 'host' } }),
    { ...facts('root'), hostRoot },
  );
  const mapped = inputs.flatMap((input) => (input.kind === 'mount' ? [[input.source, input.idmap]] : []));
  expect(mapped).toEqual([
    ['/usr', true],
    ['/usr/local', false],
    ['/etc', false],
    ['/opt', false],
  ]);
});
