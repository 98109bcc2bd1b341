import { type DocumentCase, late, row } from './document-case.ts';

const bind = (destination: string, source: string, ...options: string[]) => ({
  destination,
  source,
  type: 'bind',
  options: ['bind', ...options],
});

/** Mounts, hooks, seccomp and resources. */
export const mountDocuments: readonly DocumentCase[] = [
  row('mounts as an object', '/mounts', (c) => (c.mounts = { '/proc': 'proc' })),
  row('a mount without a destination', '/mounts/0/destination', (c) => (c.mounts = [{ type: 'proc', source: 'proc' }])),
  row(
    'a mount with an empty destination',
    '/mounts/0/destination',
    (c) => (c.mounts = [{ destination: '', type: 'proc', source: 'proc' }]),
  ),
  late(
    'a mount on the root, which is empty then',
    'not found',
    (c) => (c.mounts = [{ destination: '/', type: 'tmpfs', source: 'tmpfs' }, ...c.mounts]),
  ),
  row('mount options as text', '/mounts/0/options', (c) => (c.mounts[0].options = 'ro,nosuid')),
  row('a mount option that is a number', '/mounts/0/options/0', (c) => (c.mounts[0].options = [1])),
  row('a mount without a type', '/mounts', (c) => c.mounts.push({ destination: '/x', source: '/tmp' })),
  late('a mount of an unknown file system', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'nosuchfs', source: 'x' }),
  ),
  late('a mount with an unknown option', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'tmpfs', source: 'tmpfs', options: ['nosuchoption=1'] }),
  ),
  late('a tmpfs of a bad size', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'tmpfs', source: 'tmpfs', options: ['size=huge'] }),
  ),
  late('a tmpfs of a negative size', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'tmpfs', source: 'tmpfs', options: ['size=-1'] }),
  ),
  late('a tmpfs of a bad mode', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'tmpfs', source: 'tmpfs', options: ['mode=999'] }),
  ),
  late('a bind of what is not there', '/mounts/', (c) => c.mounts.push(bind('/x', '/nosuch'))),
  late('a bind of an empty source', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'bind', source: '', options: ['bind'] }),
  ),
  late('a bind without a source', '/mounts/', (c) =>
    c.mounts.push({ destination: '/x', type: 'bind', options: ['bind'] }),
  ),
  late('a file bound on a directory', '/mounts/', (c) => c.mounts.push(bind('/etc', '/etc/passwd'))),
  late('a directory bound on a file', '/mounts/', (c) => c.mounts.push(bind('/etc/passwd', '/tmp'))),
  late('a mount below a file', '/mounts/', (c) => c.mounts.push(bind('/etc/passwd/x', '/tmp'))),
  late('a mount whose name is too long', '/mounts/', (c) =>
    c.mounts.push({ destination: `/${'x'.repeat(300)}`, type: 'tmpfs', source: 'tmpfs' }),
  ),
  late('a mount whose path is too long', '/mounts/', (c) =>
    c.mounts.push({ destination: '/xxxxxxxxx'.repeat(1000), type: 'tmpfs', source: 'tmpfs' }),
  ),
  row('an id map on a mount that is none', '/mounts/', (c) =>
    c.mounts.push({
      destination: '/x',
      type: 'tmpfs',
      source: 'tmpfs',
      uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    }),
  ),
  row('one id map of a mount', '/mounts/', (c) =>
    c.mounts.push({ ...bind('/x', '/tmp'), uidMappings: [{ containerID: 0, hostID: 0, size: 1 }] }),
  ),
  row('an idmap option that is none', '/mounts/', (c) => c.mounts.push(bind('/x', '/tmp', 'idmap=uids=x'))),
  row('both ro and an unknown type of propagation', '/linux/rootfsPropagation', (c) => (c.linux.rootfsPropagation = 5)),
  row('hooks as a list', '/hooks', (c) => (c.hooks = [])),
  row('a hook that is a string', '/hooks/prestart/0', (c) => (c.hooks = { prestart: ['/bin/true'] })),
  row('a hook without a path', '/hooks/createRuntime/0/path', (c) => (c.hooks = { createRuntime: [{ args: ['x'] }] })),
  row('a hook with a relative path', '/hooks/poststop/0/path', (c) => (c.hooks = { poststop: [{ path: 'bin/true' }] })),
  row(
    'a hook with a timeout of 0',
    '/hooks/prestart/0/timeout',
    (c) => (c.hooks = { prestart: [{ path: '/bin/true', timeout: 0 }] }),
  ),
  row(
    'a hook with a negative timeout',
    '/hooks/prestart/0/timeout',
    (c) => (c.hooks = { prestart: [{ path: '/bin/true', timeout: -1 }] }),
  ),
  row(
    'a hook with a bad environment',
    '/hooks/prestart/0/env/0',
    (c) => (c.hooks = { prestart: [{ path: '/bin/true', env: ['A'] }] }),
  ),
  late('a hook that is not there', 'prestart hook #0', (c) => (c.hooks = { prestart: [{ path: '/nosuch' }] })),
  late('a hook that is a directory', 'prestart hook #0', (c) => (c.hooks = { prestart: [{ path: '/tmp' }] })),
  late('a hook that fails', 'createRuntime hook #0', (c) => (c.hooks = { createRuntime: [{ path: '/bin/false' }] })),
  late(
    'a createContainer hook that is not there',
    'createContainer hook #0',
    (c) => (c.hooks = { createContainer: [{ path: '/nosuch' }] }),
  ),
  row('annotations as a list', '/annotations', (c) => (c.annotations = ['a'])),
  row('an annotation that is a number', '/annotations/a', (c) => (c.annotations = { a: 1 })),
  row('an annotation without a name', '/annotations/', (c) => (c.annotations = { '': 'x' })),
  row('seccomp without a default', '/linux/seccomp/defaultAction', (c) => (c.linux.seccomp = {})),
  row(
    'seccomp with an unknown default',
    '/linux/seccomp/defaultAction',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_FOO' }),
  ),
  row(
    'seccomp with an empty default',
    '/linux/seccomp/defaultAction',
    (c) => (c.linux.seccomp = { defaultAction: '' }),
  ),
  row(
    'seccomp with an unknown action',
    '/linux/seccomp/syscalls/0/action',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir'], action: 'DENY' }] }),
  ),
  row(
    'seccomp without names',
    '/linux/seccomp/syscalls/0/names',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ action: 'SCMP_ACT_ERRNO' }] }),
  ),
  row(
    'seccomp with empty names',
    '/linux/seccomp/syscalls/0/names',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [], action: 'SCMP_ACT_ERRNO' }] }),
  ),
  row(
    'seccomp with a seventh argument',
    '/linux/seccomp/syscalls/0/args/0/index',
    (c) =>
      (c.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
      }),
  ),
  row(
    'seccomp with an unknown operator',
    '/linux/seccomp/syscalls/0/args/0/op',
    (c) =>
      (c.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 0, op: '==' }] }],
      }),
  ),
  row(
    'seccomp with an errno of 2^16',
    '/linux/seccomp/syscalls/0/errnoRet',
    (c) =>
      (c.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errnoRet: 65536 }],
      }),
  ),
  row(
    'seccomp with an errno that no syscall has',
    'errnoRet',
    (c) =>
      (c.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_ERRNO', errnoRet: 5000 }],
      }),
  ),
  row(
    'seccomp for an unknown architecture',
    '/linux/seccomp/architectures/0',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', architectures: ['x86_64'] }),
  ),
  row(
    'seccomp with an unknown flag',
    '/linux/seccomp/flags/0',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_FOO'] }),
  ),
  row(
    'seccomp that notifies nobody',
    'seccomp',
    (c) =>
      (c.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }],
      }),
  ),
  late('seccomp that kills everything', 'seccomp', (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_KILL' })),
  late(
    'seccomp that kills every process',
    'seccomp',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_KILL_PROCESS' }),
  ),
  late('seccomp that traps everything', 'seccomp', (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_TRAP' })),
  late('seccomp that refuses everything', 'seccomp', (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_ERRNO' })),
  late(
    'seccomp that notifies of everything',
    'seccomp',
    (c) => (c.linux.seccomp = { defaultAction: 'SCMP_ACT_NOTIFY', listenerPath: '/nosuch' }),
  ),
  row('resources as a list', '/linux/resources', (c) => (c.linux.resources = [])),
  row(
    'a device rule without allow',
    '/linux/resources/devices/0/allow',
    (c) => (c.linux.resources = { devices: [{ access: 'rwm' }] }),
  ),
  row(
    'a device rule of an unknown type',
    '/linux/resources/devices/0/type',
    (c) => (c.linux.resources = { devices: [{ allow: true, type: 'x' }] }),
  ),
  row(
    'a device rule of unknown access',
    '/linux/resources/devices/0/access',
    (c) => (c.linux.resources = { devices: [{ allow: true, type: 'c', access: 'rwz' }] }),
  ),
  row(
    'a device rule of major -2',
    '/linux/resources/devices/0/major',
    (c) => (c.linux.resources = { devices: [{ allow: true, type: 'c', major: -2, access: 'rw' }] }),
  ),
  row('a memory limit of -2', '/linux/resources/memory/limit', (c) => (c.linux.resources = { memory: { limit: -2 } })),
  row(
    'a memory limit of 2^63',
    '/linux/resources/memory/limit',
    (c) => (c.linux.resources = { memory: { limit: 2n ** 63n } }),
  ),
  row(
    'a memory limit as text',
    '/linux/resources/memory/limit',
    (c) => (c.linux.resources = { memory: { limit: '512m' } }),
  ),
  row(
    'swap below memory',
    '/linux/resources/memory/swap',
    (c) => (c.linux.resources = { memory: { limit: 100_000_000, swap: 1000 } }),
  ),
  row('swap without memory', '/linux/resources/memory/swap', (c) => (c.linux.resources = { memory: { swap: 1000 } })),
  row(
    'swappiness of 101',
    '/linux/resources/memory/swappiness',
    (c) => (c.linux.resources = { memory: { swappiness: 101 } }),
  ),
  row('cpus of letters', '/linux/resources/cpu/cpus', (c) => (c.linux.resources = { cpu: { cpus: 'a-b' } })),
  row('cpus backwards', '/linux/resources/cpu/cpus', (c) => (c.linux.resources = { cpu: { cpus: '3-1' } })),
  row('mems of letters', '/linux/resources/cpu/mems', (c) => (c.linux.resources = { cpu: { mems: 'x' } })),
  row('a period of 1', '/linux/resources/cpu/period', (c) => (c.linux.resources = { cpu: { period: 1, quota: 5000 } })),
  row('a quota of 1', '/linux/resources/cpu/quota', (c) => (c.linux.resources = { cpu: { quota: 1 } })),
  row('negative shares', '/linux/resources/cpu/shares', (c) => (c.linux.resources = { cpu: { shares: -1 } })),
  row(
    'a negative number of processes',
    '/linux/resources/pids/limit',
    (c) => (c.linux.resources = { pids: { limit: -5 } }),
  ),
  row('a limit of processes that is none', '/linux/resources/pids/limit', (c) => (c.linux.resources = { pids: {} })),
  row('a weight of 1', '/linux/resources/blockIO/weight', (c) => (c.linux.resources = { blockIO: { weight: 1 } })),
  row(
    'a weight of 1001',
    '/linux/resources/blockIO/weight',
    (c) => (c.linux.resources = { blockIO: { weight: 1001 } }),
  ),
  row(
    'a page size that is none',
    '/linux/resources/hugepageLimits/0/pageSize',
    (c) => (c.linux.resources = { hugepageLimits: [{ pageSize: 'huge', limit: 1 }] }),
  ),
  row(
    'a page size that climbs',
    '/linux/resources/hugepageLimits/0/pageSize',
    (c) => (c.linux.resources = { hugepageLimits: [{ pageSize: '../../x', limit: 1 }] }),
  ),
  late(
    'a page size that the machine has not',
    'hugepageLimits',
    (c) => (c.linux.resources = { hugepageLimits: [{ pageSize: '3MB', limit: 1 }] }),
  ),
  row(
    'a cgroup file that climbs',
    '/linux/resources/unified',
    (c) => (c.linux.resources = { unified: { '../memory.max': '1' } }),
  ),
  row(
    'a cgroup file that is a number',
    '/linux/resources/unified/memory.max',
    (c) => (c.linux.resources = { unified: { 'memory.max': 1 } }),
  ),
  late(
    'a cgroup file that is not there',
    'nosuch.file',
    (c) => (c.linux.resources = { unified: { 'nosuch.file': '1' } }),
  ),
  row('an rdma device without limits', '/linux/resources/rdma', (c) => (c.linux.resources = { rdma: { mlx5_1: {} } })),
];
