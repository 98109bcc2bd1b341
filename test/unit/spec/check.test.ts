import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkSpec } from '../../../lib/spec/check.ts';
import { defaultSpec } from '../../../lib/spec/defaults.ts';
import { parsePointer } from '../../../lib/spec/pointer.ts';
import { full } from './full.ts';

/** A copy of a document with one thing changed: `undefined` takes it away. */
function changed(document: unknown, path: string, value: unknown): unknown {
  const root = { document: clone(document) } as Record<string, unknown>;
  const keys = ['document', ...parsePointer(path)!];
  const last = keys.pop()!;
  let at = root;
  for (const key of keys) {
    at[key] ??= {};
    at = at[key] as Record<string, unknown>;
  }
  if (value === undefined) delete at[last];
  else at[last] = value;
  return root['document'];
}

function clone(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clone);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, clone(item)]));
}

test('accepts a configuration that uses every field of the specification', () => {
  const { issues, spec, warnings } = checkSpec(full()) as { issues?: unknown; spec?: unknown; warnings?: unknown };
  expect(issues).toBe(undefined);
  expect(spec).toEqual(full());
  expect(warnings).toEqual([]);
});

test('accepts the default configuration', () => {
  expect(checkSpec(defaultSpec()).issues).toBe(undefined);
});

test('accepts a configuration without a process, which can be created if not started', () => {
  expect(checkSpec(changed(defaultSpec(), '/process', undefined)).issues).toBe(undefined);
});

test.each([{}, { linux: {} }, { linux: { namespaces: [] } }])(
  '%j has the namespaces of the host, but for mounts',
  (linux) => {
    const { process, root, ociVersion } = full() as Record<string, unknown>;
    const checked = checkSpec({ ociVersion, process, root, ...linux });
    expect(checked.spec?.linux.namespaces).toEqual([]);
    expect(checked.warnings).toContainEqual({
      path: '/linux/namespaces',
      message: expect.stringContaining('one of its own'),
    });
  },
);

test('a user whose ids are not said is root', () => {
  const spec = full() as { process: { user?: object } };
  spec.process.user = { gid: 5 };
  expect(checkSpec(spec).spec?.process?.user).toEqual({ uid: 0, gid: 5 });
  delete spec.process.user;
  expect(checkSpec(spec).spec?.process?.user).toEqual({ uid: 0, gid: 0 });
});

test('ignores keys that it does not know, at every level', () => {
  for (const path of [
    '/new',
    '/process/new',
    '/linux/new',
    '/linux/resources/memory/new',
    '/mounts/0/new',
    '/windows',
  ]) {
    expect(checkSpec(changed(full(), path, { of: ['any', 'kind'] })).issues).toBe(undefined);
  }
});

/** Every leaf of a document, by JSON pointer. */
function leaves(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, item]) =>
    leaves(item, `${path}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`),
  );
}

describe('a field of the wrong type is found, where it is', () => {
  test.each(leaves(full()))('%s', (path) => {
    const { issues } = checkSpec(changed(full(), path, Symbol.iterator));
    expect(issues?.map((issue) => issue.path)).toEqual([path]);
    expect(issues![0]!.message).toMatch(/^must be .*, not a symbol$/);
  });
});

const u64 = 2n ** 64n;

/** What to put where, a part of the issue's message, and where it must be if not there. */
type Bad = readonly [path: string, value: unknown, message: string, at?: string];

const bad: readonly Bad[] = [
  ['', null, 'must be an object, not null'],
  ['', [], 'must be an object, not a list'],
  ['', 'spec', 'must be an object, not "spec"'],
  ['/ociVersion', undefined, 'is required'],
  ['/ociVersion', '2.0.0', 'must be a version 1'],
  ['/ociVersion', '1.0', 'must be a version 1'],
  ['/ociVersion', 'v1.0.0', 'not "v1.0.0"'],
  ['/root', undefined, 'is required'],
  ['/root', { path: '' }, 'must not be empty', '/root/path'],
  ['/root/path', '/', "must not be the host's own root"],
  ['/root/path', '//.//', "must not be the host's own root"],
  ['/root/path', '/a/..', "must not be the host's own root"],
  ['/root/path', 'a\0b', 'NUL'],
  ['/root/path', '\ud800', 'half of a surrogate pair'],
  ['/root/readonly', 'yes', 'must be true or false, not "yes"'],
  ['/process', null, 'must be an object, not null'],
  ['/process/user/uid', -1, 'must be a whole number from 0 to 4294967294, not -1'],
  ['/process/user/uid', 4294967295, 'not 4294967295'],
  ['/process/user/uid', 4294967296, 'not 4294967296'],
  ['/process/user/uid', '0', 'not "0"'],
  ['/process/user/uid', 1.5, 'not 1.5'],
  ['/process/user/uid', 0n, 'must be a whole number'],
  ['/process/user/uid', 70000, '70000 is not in uidMappings'],
  ['/process/user/gid', 4294967295, 'not 4294967295'],
  ['/process/user/gid', 70000, '70000 is not in gidMappings'],
  ['/process/user/umask', 0o1000, 'must be a whole number from 0 to 511'],
  ['/process/user/additionalGids/0', 4294967295, 'not 4294967295'],
  ['/process/user/additionalGids/1', 70000, 'is not in gidMappings'],
  ['/process/user/additionalGids', 5, 'must be a list, not 5'],
  ['/process/args', undefined, 'is required'],
  ['/process/args', [], 'must not be empty'],
  ['/process/args/0', '', 'must be the name of a program'],
  ['/process/args/1', 'a\0', 'NUL'],
  ['/process/args', 'sh', 'must be a list, not "sh"'],
  ['/process/cwd', undefined, 'is required'],
  ['/process/cwd', 'app', 'must be an absolute path, not "app"'],
  ['/process/cwd', '', 'must be an absolute path, not ""'],
  ['/process/env/0', 'PATH', 'must have the form NAME=VALUE, not "PATH"'],
  ['/process/env/0', '=x', 'must have the form NAME=VALUE'],
  ['/process/env/0', 'A=\0', 'NUL'],
  ['/process/terminal', 1, 'must be true or false, not 1'],
  ['/process/consoleSize/height', 65536, 'must be a whole number from 0 to 65535'],
  ['/process/consoleSize', { height: 24 }, 'is required', '/process/consoleSize/width'],
  ['/process/noNewPrivileges', 'true', 'must be true or false'],
  ['/process/oomScoreAdj', 1001, 'must be a whole number from -1000 to 1000, not 1001'],
  ['/process/rlimits/0/type', 'RLIMIT_NOFILES', 'did you mean "RLIMIT_NOFILE"?'],
  ['/process/rlimits/0/type', 'NOFILE', 'unknown resource limit "NOFILE"'],
  ['/process/rlimits/1/type', 'RLIMIT_NOFILE', 'RLIMIT_NOFILE is in the list twice'],
  ['/process/rlimits/0/soft', 5000, 'is above its hard limit: 5000 > 4096'],
  ['/process/rlimits/0/hard', u64, 'must be a whole number from 0 to 18446744073709551615'],
  ['/process/rlimits/0/hard', -1, 'not -1'],
  ['/process/capabilities/bounding', 'CAP_CHOWN', 'must be a list'],
  [
    '/process/capabilities/effective',
    ['CAP_SYS_TIME'],
    'CAP_SYS_TIME is not in the permitted set',
    '/process/capabilities/effective/0',
  ],
  ['/process/scheduler/policy', 'SCHED_OTHERS', 'did you mean "SCHED_OTHER"?'],
  ['/process/scheduler/nice', 20, 'must be a whole number from -20 to 19'],
  [
    '/process/scheduler',
    { policy: 'SCHED_DEADLINE', runtime: 5, deadline: 4, period: 9 },
    'runtime <= deadline <= period',
  ],
  ['/process/scheduler', { nice: 1 }, 'is required', '/process/scheduler/policy'],
  ['/process/scheduler/flags/0', 'SCHED_RESET', 'unknown scheduling flag'],
  ['/process/scheduler', { policy: 'SCHED_FIFO' }, 'must be 1 to 99 for SCHED_FIFO', '/process/scheduler/priority'],
  ['/process/scheduler/priority', 1, 'is for SCHED_FIFO and SCHED_RR, not for SCHED_DEADLINE'],
  [
    '/process/scheduler',
    { policy: 'SCHED_OTHER', runtime: u64 - 1n },
    'is for SCHED_DEADLINE',
    '/process/scheduler/runtime',
  ],
  ['/process/ioPriority/class', 'IOPRIO_CLASS_XX', 'did you mean "IOPRIO_CLASS_'],
  ['/process/ioPriority/priority', 8, 'must be a whole number from 0 to 7'],
  ['/process/execCPUAffinity/initial', '0-', 'must be a list such as'],
  ['/process/execCPUAffinity/final', '99999999', 'must be a list such as'],
  ['/hostname', 'a'.repeat(65), 'must have at most 64 characters'],
  ['/hostname', 'oci\0lab', 'NUL'],
  ['/domainname', 'a'.repeat(65), 'must have at most 64 characters'],
  ['/mounts/0/destination', undefined, 'is required'],
  ['/mounts/0/destination', '', 'must not be empty'],
  ['/mounts/0/options/0', 'a\0', 'NUL'],
  ['/mounts/0/options', 'ro', 'must be a list'],
  ['/mounts/0/options/0', 'idmap', 'only bind mounts'],
  ['/mounts/2/options/1', 'idmap=uids=0-1-1;gids=0-1-1', 'has uidMappings already'],
  ['/mounts/3', { destination: '/x', options: ['bind', 'idmap=uids=0-1'] }, 'must be like', '/mounts/3/options/1'],
  ['/mounts/3', { destination: '/x', options: ['bind', 'ridmap='] }, 'must be like', '/mounts/3/options/1'],
  [
    '/mounts/3',
    { destination: '/x', options: ['bind', 'idmap=uids=0-1-2#1-5-1;gids=0-1-1'] },
    'must be like',
    '/mounts/3/options/1',
  ],
  ['/mounts/0/uidMappings', [{ containerID: 0, hostID: 0, size: 1 }], 'together or not at all', '/mounts/0'],
  ['/mounts/1/uidMappings', [], 'only bind mounts'],
  ['/mounts/2/uidMappings/0/size', 0, 'must be a whole number from 1'],
  ['/mounts/2/gidMappings/0/size', 4294967295, 'pass the last one'],
  ['/hooks/prestart/0/path', 'bin/hook', 'must be an absolute path, not "bin/hook"'],
  ['/hooks/poststop/0/path', '', 'must be an absolute path'],
  ['/hooks/poststop/0/timeout', 0, 'must be a whole number from 1'],
  ['/hooks/createRuntime/0/env/0', 'A', 'NAME=VALUE'],
  ['/annotations/a', 1, 'must be a string, not 1'],
  ['/annotations/', 'x', 'the key must not be empty'],
  ['/linux', 1, 'must be an object, not 1'],
  ['/linux/namespaces', {}, 'must be a list'],
  ['/linux/namespaces/0/type', undefined, 'is required'],
  ['/linux/namespaces/0/type', 'net', 'unknown namespace "net"'],
  ['/linux/namespaces/0/type', 'networks', 'did you mean "network"?'],
  ['/linux/namespaces/8', { type: 'pid' }, 'the pid namespace is in the list twice', '/linux/namespaces/8/type'],
  ['/linux/namespaces/1/path', 'proc/1/ns/pid', 'must be an absolute path'],
  ['/linux/uidMappings/0/containerID', 4294967295, 'must be a whole number from 0 to 4294967294'],
  ['/linux/uidMappings/0/size', 0, 'must be a whole number from 1'],
  ['/linux/uidMappings/0/hostID', 4294967294, 'pass the last one', '/linux/uidMappings/0/size'],
  [
    '/linux/uidMappings/1',
    { containerID: 10, hostID: 900000, size: 5 },
    'overlaps with line 0',
    '/linux/uidMappings/1/containerID',
  ],
  [
    '/linux/gidMappings/1',
    { containerID: 99999, hostID: 100005, size: 5 },
    'overlaps with line 0',
    '/linux/gidMappings/1/hostID',
  ],
  [
    '/linux/uidMappings',
    Array.from({ length: 341 }, (_, i) => ({ containerID: i, hostID: i, size: 1 })),
    'at most 340 lines',
  ],
  ['/linux/timeOffsets/realtime', { secs: 1 }, 'the key unknown clock "realtime"'],
  ['/linux/timeOffsets/monotonic/nanosecs', 1_000_000_000, 'must be a whole number from 0 to 999999999'],
  ['/linux/timeOffsets/monotonic/secs', 2n ** 63n, 'must be a whole number from -9223372036854775808'],
  ['/linux/devices/0/type', 'x', 'unknown device type "x"'],
  [
    '/linux/devices/2',
    { type: 'p', path: '/dev//fuse' },
    'is in the list as c 10:229 already',
    '/linux/devices/2/path',
  ],
  ['/linux/devices/0/path', 'dev/fuse', 'must be an absolute path'],
  ['/linux/devices/0/major', undefined, 'is required'],
  ['/linux/devices/0/minor', 1048576, 'must be a whole number from 0 to 1048575'],
  ['/linux/devices/0/major', 2 ** 40, 'must be a whole number from 0 to 4095'],
  ['/linux/devices/0/uid', -1, 'not -1'],
  ['/linux/netDevices/eth0/name', 'a-name-of-16-chr', 'must be the name of a network interface'],
  ['/linux/netDevices/eth0/name', '..', 'must be the name of a network interface'],
  ['/linux/netDevices/a b', {}, 'the key must be the name of a network interface'],
  ['/linux/cgroupsPath', '/../x', 'without ".."'],
  ['/linux/cgroupsPath', 'a/..', 'without ".."'],
  ['/linux/cgroupsPath', 'a\nb', 'without ".."'],
  ['/linux/cgroupsPath', `/x/${'a'.repeat(256)}`, 'more than 255 characters'],
  ['/linux/sysctl/kernel.panic', '1', 'belongs to the whole machine'],
  ['/linux/sysctl/kernel.hostname', 'x', 'is set by "hostname"'],
  ['/linux/sysctl/net.ipv4...x', '1', 'is no name of a kernel parameter'],
  ['/linux/sysctl/net~1..~1kernel~1panic', '1', 'is no name of a kernel parameter'],
  ['/linux/sysctl/kernel', '1', 'belongs to the whole machine'],
  ['/linux/sysctl/net.core.somaxconn', 128, 'must be a string, not 128'],
  ['/linux/rootfsPropagation', 'share', 'did you mean "shared"?'],
  ['/linux/maskedPaths/0', 'proc/kcore', 'must be an absolute path'],
  ['/linux/readonlyPaths/0', '', 'must be an absolute path'],
  ['/linux/personality/domain', 'LINUX64', 'unknown personality'],
  ['/linux/personality/flags/0', 'ADDR_NO_RANDOMIZE', 'unknown personality flag'],
  ['/linux/memoryPolicy/mode', 'MPOL_BINDS', 'did you mean "MPOL_BIND"?'],
  ['/linux/memoryPolicy/mode', 'MPOL_LOCAL', 'must be empty for MPOL_LOCAL', '/linux/memoryPolicy/nodes'],
  ['/linux/memoryPolicy/mode', 'MPOL_DEFAULT', 'must be empty for MPOL_DEFAULT', '/linux/memoryPolicy/flags'],
  ['/linux/memoryPolicy/nodes', '', 'must name a node for MPOL_BIND'],
  ['/linux/memoryPolicy/nodes', '3-1', '3-1 goes backwards'],
  ['/linux/memoryPolicy/flags/1', 'MPOL_F_RELATIVE_NODES', 'one of MPOL_F_STATIC_NODES', '/linux/memoryPolicy/flags'],
  [
    '/linux/memoryPolicy',
    { mode: 'MPOL_PREFERRED', flags: ['MPOL_F_STATIC_NODES'] },
    'need a node',
    '/linux/memoryPolicy/flags',
  ],
  [
    '/linux/memoryPolicy',
    { mode: 'MPOL_INTERLEAVE', nodes: '0', flags: ['MPOL_F_NUMA_BALANCING'] },
    'is for MPOL_BIND',
    '/linux/memoryPolicy/flags',
  ],
  ['/linux/memoryPolicy/nodes', '0,', 'must be a list such as'],
  ['/linux/memoryPolicy/flags/0', 'MPOL_F_X', 'unknown memory policy flag'],
  ['/linux/intelRdt/closID', 'a/b', 'must be the name of a directory'],
  ['/linux/intelRdt/closID', '..', 'must be the name of a directory'],
  ['/linux/intelRdt/memBwSchema', 'L3:0=1', 'begins with "MB:"'],
  ['/linux/seccomp/defaultAction', undefined, 'is required'],
  ['/linux/seccomp/defaultAction', 'SCMP_ACT_ALOW', 'did you mean "SCMP_ACT_ALLOW"?'],
  ['/linux/seccomp/architectures/0', 'x86_64', 'must be a name such as SCMP_ARCH_X86_64'],
  ['/linux/seccomp/flags/0', 'TSYNC', 'unknown seccomp flag "TSYNC"'],
  ['/linux/seccomp/syscalls/0/names', [], 'must not be empty'],
  ['/linux/seccomp/syscalls/0/action', 'ALLOW', 'unknown seccomp action'],
  ['/linux/seccomp/syscalls/0/action', 'SCMP_ACT_KILL', 'takes no errno', '/linux/seccomp/syscalls/0/errnoRet'],
  [
    '/linux/seccomp',
    { defaultAction: 'SCMP_ACT_ALLOW', defaultErrnoRet: 1, listenerMetadata: 'x' },
    'SCMP_ACT_ALLOW takes no errno',
    '/linux/seccomp/defaultErrnoRet',
  ],
  [
    '/linux/seccomp',
    { defaultAction: 'SCMP_ACT_ALLOW', listenerMetadata: 'x' },
    'has no use without a listenerPath',
    '/linux/seccomp/listenerMetadata',
  ],
  ['/linux/seccomp/syscalls/0/args/0/index', 6, 'must be a whole number from 0 to 5'],
  ['/linux/seccomp/syscalls/0/args/0/op', 'SCMP_CMP_EG', 'did you mean "SCMP_CMP_EQ"?'],
  ['/linux/seccomp/syscalls/0/args/0/value', u64, 'must be a whole number from 0'],
  ['/linux/resources/memory/limit', -2, 'must be a whole number from -1'],
  ['/linux/resources/memory/limit', '512m', 'not "512m"'],
  ['/linux/resources/memory/swap', 5, 'at least the memory limit: 5 < '],
  ['/linux/resources/memory', { swap: 5 }, 'needs one of memory', '/linux/resources/memory/swap'],
  ['/linux/resources/memory/swappiness', 101, 'must be a whole number from 0 to 100'],
  ['/linux/resources/cpu/burst', 200_000, 'must be at most the quota: 200000 > 50000'],
  ['/linux/resources/cpu/period', 999, 'must be 1000 to 1000000 microseconds, not 999'],
  ['/linux/resources/cpu/quota', 999, 'at least 1000 microseconds'],
  ['/linux/resources/cpu/cpus', '0-x', 'must be a list such as'],
  ['/linux/resources/cpu/idle', 2, 'must be a whole number from 0 to 1'],
  ['/linux/resources/pids', {}, 'is required', '/linux/resources/pids/limit'],
  ['/linux/resources/pids/limit', -2, 'must be a whole number from -1'],
  ['/linux/resources/blockIO/weight', 9, 'must be 10 to 1000, not 9'],
  ['/linux/resources/blockIO/weightDevice/0', { major: 8, minor: 0 }, 'must have a weight or a leafWeight'],
  ['/linux/resources/blockIO/throttleReadBpsDevice/0/rate', -1, 'must be a whole number from 0'],
  ['/linux/resources/hugepageLimits/0/pageSize', '2M', 'must be a size such as "2MB"'],
  ['/linux/resources/rdma/mlx5_1', {}, 'must have hcaHandles or hcaObjects'],
  ['/linux/resources/unified/..~1memory.high', '1', 'must be a file of a cgroup'],
  ['/linux/resources/devices/0/access', 'rwx', 'must be made of "r", "w" and "m"'],
  ['/linux/resources/devices/0/allow', undefined, 'is required'],
];

describe('a bad value is refused, where it is', () => {
  test.each(bad.map(([path, ...row]) => ({ path, row })))('$path = $row.0', ({ path, row }) => {
    const [value, message, at = path] = row;
    const { issues = [] } = checkSpec(changed(full(), path, value));
    expect(
      issues
        .filter((issue) => issue.path === at)
        .map((issue) => issue.message)
        .join('; '),
    ).toContain(message);
  });
  test('of which there are many', () => {
    expect(bad.length).toBeGreaterThan(80);
  });
});

/** The full configuration without one of its namespaces. */
const without = (type: string): unknown =>
  changed(
    full(),
    '/linux/namespaces',
    full().linux.namespaces.filter((namespace) => namespace.type !== type),
  );

describe('what needs a namespace is refused without it', () => {
  test.each([
    ['uts', ['/hostname', '/domainname', '/linux/sysctl/kernel.domainname']],
    ['user', ['/linux/uidMappings', '/linux/gidMappings', '/linux/sysctl/user.max_user_namespaces']],
    ['time', ['/linux/timeOffsets']],
    ['network', ['/linux/netDevices', '/linux/sysctl/net.core.somaxconn']],
    ['ipc', ['/linux/sysctl/kernel.shmmax', '/linux/sysctl/fs.mqueue.msg_max']],
  ])('%s', (type, paths) => {
    expect(checkSpec(without(type)).issues?.map((issue) => issue.path)).toEqual(paths);
  });
});

test('says everything that is wrong at once, in one list', () => {
  const spec = changed(changed(changed(full(), '/process/cwd', 'x'), '/mounts/0/options', 1), '/process/args/0', '');
  expect(checkSpec(spec).issues?.map((issue) => issue.path)).toEqual([
    '/process/cwd',
    '/mounts/0/options',
    '/process/args/0',
  ]);
});

test('shows a long value shortened, and on one line', () => {
  const { issues } = checkSpec(changed(full(), '/process/cwd', `x\n${'y'.repeat(1000)}`));
  expect(issues![0]!.message.length).toBeLessThan(120);
  expect(issues![0]!.message).not.toContain('\n');
});

describe('warns of', () => {
  test('an unknown capability, with the name that was meant', () => {
    const { warnings } = checkSpec(changed(full(), '/process/capabilities/bounding/0', 'CAP_CHWON')) as {
      warnings: unknown;
    };
    expect(warnings).toEqual([
      {
        path: '/process/capabilities/bounding/0',
        message: 'unknown capability "CAP_CHWON"; did you mean "CAP_CHOWN"?',
      },
    ]);
  });
  test('an ambient capability that cannot be raised', () => {
    const { warnings } = checkSpec(changed(full(), '/process/capabilities/inheritable', []));
    expect(warnings?.map((warning) => warning.path)).toEqual(['/process/capabilities/ambient/0']);
  });
  test('a relative destination', () => {
    const { warnings } = checkSpec(changed(full(), '/mounts/0/destination', 'proc'));
    expect(warnings?.map((warning) => warning.message)).toEqual(['is relative, and taken for "/proc"']);
  });
});

describe('never throws', () => {
  const anything = fc.anything({
    withBigInt: true,
    withNullPrototype: true,
    withObjectString: true,
    withSparseArray: true,
  });
  test('whatever the value', () => {
    fc.assert(
      fc.property(anything, (value) => {
        expect(checkSpec(value).issues).not.toHaveLength(0);
      }),
      { seed: 6, numRuns: 1000 },
    );
  });
  test('whatever one or two parts of a good configuration are replaced by', () => {
    const places = allPaths(full());
    fc.assert(
      fc.property(fc.constantFrom(...places), anything, fc.constantFrom(...places), anything, (a, x, b, y) => {
        const first = changed(full(), a, x);
        let second: unknown;
        try {
          second = changed(first, b, y);
        } catch {
          // The second place is gone with what the first one replaced.
          second = first;
        }
        const { issues, spec } = checkSpec(second);
        expect((issues === undefined) !== (spec === undefined)).toBe(true);
      }),
      { seed: 7, numRuns: 3000 },
    );
  });
});

function allPaths(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null) return [path];
  const below = Object.entries(value).flatMap(([key, item]) =>
    allPaths(item, `${path}/${key.replace(/~/g, '~0').replace(/\//g, '~1')}`),
  );
  return [path, ...below];
}
