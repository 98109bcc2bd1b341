import { type DocumentCase, late, row } from './document-case.ts';
import type { Config } from './place.ts';

const namespaces = (...types: string[]) => types.map((type) => ({ type }));

/** Namespaces, devices and other fields of `linux`. */
export const linuxDocuments: readonly DocumentCase[] = [
  row('no linux', '/linux/namespaces', (c) => delete c.linux),
  row('no namespaces', '/linux/namespaces', (c) => delete c.linux.namespaces),
  row('empty namespaces', '/linux/namespaces', (c) => (c.linux.namespaces = [])),
  row('no mount namespace', '/linux/namespaces', (c) => (c.linux.namespaces = namespaces('pid', 'uts', 'ipc'))),
  row('a namespace twice', '/linux/namespaces', (c) => c.linux.namespaces.push({ type: 'pid' })),
  row('the mount namespace twice', '/linux/namespaces', (c) => c.linux.namespaces.push({ type: 'mount' })),
  row('an unknown namespace', '/linux/namespaces', (c) => c.linux.namespaces.push({ type: 'foo' })),
  row('an empty namespace', '/linux/namespaces', (c) => c.linux.namespaces.push({ type: '' })),
  row('a namespace without a type', '/linux/namespaces', (c) => c.linux.namespaces.push({})),
  row('a namespace that is a string', '/linux/namespaces', (c) => c.linux.namespaces.push('pid')),
  row(
    'a relative namespace path',
    '/linux/namespaces',
    (c) => (c.linux.namespaces = [{ type: 'mount' }, { type: 'pid', path: 'proc/1/ns/pid' }]),
  ),
  late('a namespace path that is not there', '/linux/namespaces', (c) => {
    c.linux.namespaces = c.linux.namespaces.map((n: Config) => (n.type === 'ipc' ? { ...n, path: '/nosuch' } : n));
  }),
  late('a namespace path that is a file', '/linux/namespaces', (c) => {
    c.linux.namespaces = c.linux.namespaces.map((n: Config) => (n.type === 'ipc' ? { ...n, path: '/etc/passwd' } : n));
  }),
  late('a namespace path of another type', '/linux/namespaces', (c) => {
    c.linux.namespaces = c.linux.namespaces.map((n: Config) =>
      n.type === 'ipc' ? { ...n, path: '/proc/self/ns/uts' } : n,
    );
  }),
  late('a namespace path that is a directory', '/linux/namespaces', (c) => {
    c.linux.namespaces = c.linux.namespaces.map((n: Config) => (n.type === 'ipc' ? { ...n, path: '/tmp' } : n));
  }),
  row('id maps without a user namespace', '/linux/uidMappings', (c) => {
    c.linux.namespaces = c.linux.namespaces.filter((n: Config) => n.type !== 'user');
    c.linux.uidMappings = c.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
  }),
  row('one id map of two', 'gidMappings', (c) => {
    c.linux.namespaces = [...c.linux.namespaces.filter((n: Config) => n.type !== 'user'), { type: 'user' }];
    c.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
    delete c.linux.gidMappings;
  }),
  row(
    'id maps of size 0',
    '/linux/uidMappings/0/size',
    (c) => (c.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 0 }]),
  ),
  row(
    'id maps that overlap',
    '/linux/uidMappings/1',
    (c) =>
      (c.linux.uidMappings = [
        { containerID: 0, hostID: 0, size: 10 },
        { containerID: 5, hostID: 100, size: 10 },
      ]),
  ),
  row(
    'id maps that pass the end',
    '/linux/uidMappings/0/size',
    (c) => (c.linux.uidMappings = [{ containerID: 4294967290, hostID: 0, size: 10 }]),
  ),
  row(
    '341 lines of id maps',
    '/linux/uidMappings',
    (c) => (c.linux.uidMappings = Array.from({ length: 341 }, (_, i) => ({ containerID: i, hostID: i, size: 1 }))),
  ),
  row(
    'time offsets without a time namespace',
    '/linux/timeOffsets',
    (c) => (c.linux.timeOffsets = { monotonic: { secs: 1 } }),
  ),
  row('an unknown clock', '/linux/timeOffsets/realtime', (c) => {
    c.linux.namespaces.push({ type: 'time' });
    c.linux.timeOffsets = { realtime: { secs: 1 } };
  }),
  row('too many nanoseconds', '/linux/timeOffsets/monotonic/nanosecs', (c) => {
    c.linux.namespaces.push({ type: 'time' });
    c.linux.timeOffsets = { monotonic: { secs: 1, nanosecs: 1_000_000_000 } };
  }),
  late('a clock before its beginning', '/linux/timeOffsets', (c) => {
    c.linux.namespaces.push({ type: 'time' });
    c.linux.timeOffsets = { monotonic: { secs: -(2n ** 62n) } };
  }),
  row(
    'a device without a type',
    '/linux/devices/0/type',
    (c) => (c.linux.devices = [{ path: '/dev/x', major: 1, minor: 3 }]),
  ),
  row(
    'a device without a path',
    '/linux/devices/0/path',
    (c) => (c.linux.devices = [{ type: 'c', major: 1, minor: 3 }]),
  ),
  row('a device without numbers', '/linux/devices/0/major', (c) => (c.linux.devices = [{ type: 'c', path: '/dev/x' }])),
  row(
    'a device with a relative path',
    '/linux/devices/0/path',
    (c) => (c.linux.devices = [{ type: 'c', path: 'dev/x', major: 1, minor: 3 }]),
  ),
  row(
    'a device of an unknown type',
    '/linux/devices/0/type',
    (c) => (c.linux.devices = [{ type: 'z', path: '/dev/x', major: 1, minor: 3 }]),
  ),
  row(
    'a device with a huge number',
    '/linux/devices/0/major',
    (c) => (c.linux.devices = [{ type: 'c', path: '/dev/x', major: 1 << 20, minor: 3 }]),
  ),
  row(
    'a device with a negative number',
    '/linux/devices/0/minor',
    (c) => (c.linux.devices = [{ type: 'c', path: '/dev/x', major: 1, minor: -3 }]),
  ),
  row(
    'two devices at one path',
    '/linux/devices/1/path',
    (c) => (c.linux.devices = [3, 5].map((minor) => ({ type: 'c', path: '/dev/x', major: 1, minor }))),
  ),
  late(
    'a device over an existing file',
    '/linux/devices/0',
    (c) => (c.linux.devices = [{ type: 'c', path: '/etc/passwd', major: 1, minor: 3 }]),
  ),
  late(
    'a device over an existing directory',
    '/linux/devices/0',
    (c) => (c.linux.devices = [{ type: 'c', path: '/etc', major: 1, minor: 3 }]),
  ),
  late(
    'a device below a file',
    '/linux/devices/0',
    (c) => (c.linux.devices = [{ type: 'c', path: '/etc/passwd/x', major: 1, minor: 3 }]),
  ),
  late(
    'a device at the root',
    '/linux/devices/0',
    (c) => (c.linux.devices = [{ type: 'c', path: '/', major: 1, minor: 3 }]),
  ),
  late(
    'a device whose path climbs',
    '/linux/devices/0',
    (c) => (c.linux.devices = [{ type: 'c', path: '/../../etc/passwd', major: 1, minor: 3 }]),
  ),
  row(
    'a file mode of 2^32',
    '/linux/devices/0/fileMode',
    (c) => (c.linux.devices = [{ type: 'c', path: '/dev/x', major: 1, minor: 3, fileMode: 2 ** 32 }]),
  ),
  row('a cgroup path that climbs', '/linux/cgroupsPath', (c) => (c.linux.cgroupsPath = '/../../x')),
  row('a cgroup path that climbs in between', '/linux/cgroupsPath', (c) => (c.linux.cgroupsPath = 'a/../../x')),
  row('a cgroup path with a line break', '/linux/cgroupsPath', (c) => (c.linux.cgroupsPath = 'a\nb')),
  row('a cgroup name too long', '/linux/cgroupsPath', (c) => (c.linux.cgroupsPath = 'x'.repeat(300))),
  row('a cgroup path that is a number', '/linux/cgroupsPath', (c) => (c.linux.cgroupsPath = 5)),
  row('a sysctl of the machine', '/linux/sysctl/kernel.panic', (c) => (c.linux.sysctl = { 'kernel.panic': '1' })),
  row('a sysctl that is unknown', '/linux/sysctl/nosuch.thing', (c) => (c.linux.sysctl = { 'nosuch.thing': '1' })),
  row('a sysctl that climbs', '/linux/sysctl', (c) => (c.linux.sysctl = { 'net.../kernel/panic': '1' })),
  row('an empty sysctl', '/linux/sysctl/', (c) => (c.linux.sysctl = { '': '1' })),
  row(
    'a sysctl that is a number',
    '/linux/sysctl/net.ipv4.ip_forward',
    (c) => (c.linux.sysctl = { 'net.ipv4.ip_forward': 1 }),
  ),
  row('an ipc sysctl without the namespace', '/linux/sysctl/kernel.shmmax', (c) => {
    c.linux.namespaces = c.linux.namespaces.filter((n: Config) => n.type !== 'ipc');
    c.mounts = [];
    c.linux.sysctl = { 'kernel.shmmax': '1' };
  }),
  row('a host name as sysctl', '/linux/sysctl/kernel.hostname', (c) => (c.linux.sysctl = { 'kernel.hostname': 'x' })),
  late('a sysctl that is not there', '/linux/sysctl', (c) => (c.linux.sysctl = { 'kernel.shm_nosuch': '1' })),
  late('a sysctl with a bad value', '/linux/sysctl', (c) => (c.linux.sysctl = { 'kernel.shmmax': 'abc' })),
  row('an unknown propagation', '/linux/rootfsPropagation', (c) => (c.linux.rootfsPropagation = 'sharedd')),
  row('a masked path that is relative', '/linux/maskedPaths/0', (c) => (c.linux.maskedPaths = ['proc/kcore'])),
  row('an empty masked path', '/linux/maskedPaths/0', (c) => (c.linux.maskedPaths = [''])),
  row('masked paths as text', '/linux/maskedPaths', (c) => (c.linux.maskedPaths = '/proc/kcore')),
  row('a read-only path that is relative', '/linux/readonlyPaths/0', (c) => (c.linux.readonlyPaths = ['x'])),
  row('an unknown personality', '/linux/personality/domain', (c) => (c.linux.personality = { domain: 'BSD' })),
  row('an empty personality', '/linux/personality/domain', (c) => (c.linux.personality = {})),
  row(
    'an unknown memory policy',
    '/linux/memoryPolicy/mode',
    (c) => (c.linux.memoryPolicy = { mode: 'X', nodes: '0' }),
  ),
  late('a network device that is not there', 'nosuch0', (c) => {
    c.linux.namespaces = [...c.linux.namespaces.filter((n: Config) => n.type !== 'network'), { type: 'network' }];
    c.linux.netDevices = { nosuch0: {} };
  }),
  row('a network device with a slash', '/linux/netDevices', (c) => (c.linux.netDevices = { 'a/b': {} })),
  row('network devices without a namespace', '/linux/netDevices', (c) => {
    c.linux.namespaces = c.linux.namespaces.filter((n: Config) => n.type !== 'network');
    c.linux.netDevices = { nosuch0: {} };
  }),
  late(
    'a cache group without resctrl',
    'intelRdt',
    (c) => (c.linux.intelRdt = { closID: 'x', l3CacheSchema: 'L3:0=f' }),
  ),
  row('a cache group that climbs', '/linux/intelRdt/closID', (c) => (c.linux.intelRdt = { closID: '../x' })),
];
