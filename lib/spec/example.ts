import { defaultPath, maskedPaths, ociVersion, readonlyPaths } from './defaults.ts';
import type { Draft, Mount, NamespaceType, Spec } from './types.ts';

export interface ExampleRequest {
  readonly hostname: string;
  /** Where the host has cgroup v2 alone, the container gets its own view of it. */
  readonly cgroupNamespace: boolean;
  /** Who will run it without root; undefined for root. */
  readonly rootless?: { readonly uid: number; readonly gid: number } | undefined;
}

const capabilities = ['CAP_AUDIT_WRITE', 'CAP_KILL', 'CAP_NET_BIND_SERVICE'];

/**
 * The configuration that `spec` writes, for people and scripts to change: what runc and crun write too, for scripts rely on
 * what is in it. For an ordinary user it has a user namespace, and nothing that needs more than one id or a network
 * namespace of its own.
 */
export function exampleSpec({ hostname, cgroupNamespace, rootless }: ExampleRequest): Draft<Spec> {
  const ordinary = rootless !== undefined;
  const types: readonly NamespaceType[] = [
    'pid',
    ...(ordinary ? [] : (['network'] as const)),
    'ipc',
    'uts',
    'mount',
    ...(cgroupNamespace ? (['cgroup'] as const) : []),
    ...(ordinary ? (['user'] as const) : []),
  ];
  return {
    ociVersion,
    process: {
      terminal: true,
      user: { uid: 0, gid: 0 },
      args: ['sh'],
      env: [`PATH=${defaultPath}`, 'TERM=xterm'],
      cwd: '/',
      capabilities: { bounding: [...capabilities], effective: [...capabilities], permitted: [...capabilities] },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    hostname,
    mounts: exampleMounts(ordinary),
    linux: {
      ...(rootless === undefined
        ? { resources: { devices: [{ allow: false, access: 'rwm' }] } }
        : {
            uidMappings: [{ containerID: 0, hostID: rootless.uid, size: 1 }],
            gidMappings: [{ containerID: 0, hostID: rootless.gid, size: 1 }],
          }),
      namespaces: types.map((type) => ({ type })),
      maskedPaths: [...maskedPaths],
      readonlyPaths: [...readonlyPaths],
    },
  };
}

function exampleMounts(ordinary: boolean): Draft<Mount>[] {
  const quiet = ['nosuid', 'noexec', 'nodev'];
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      // With one id there is no group 5 to give terminals to.
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', ...(ordinary ? [] : ['gid=5'])],
    },
    { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: [...quiet, 'mode=1777', 'size=65536k'] },
    { destination: '/dev/mqueue', type: 'mqueue', source: 'mqueue', options: quiet.slice() },
    // sysfs belongs to a network namespace, and without one of its own the container cannot mount it.
    ordinary
      ? { destination: '/sys', type: 'none', source: '/sys', options: ['rbind', ...quiet, 'ro'] }
      : { destination: '/sys', type: 'sysfs', source: 'sysfs', options: [...quiet, 'ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: [...quiet, 'relatime', 'ro'] },
  ];
}
