import type { NamespaceType } from './names.ts';

/** Kernel parameters that exist once per namespace; all others are the whole machine's. A `/` ends a prefix. */
const owners: readonly (readonly [name: string, NamespaceType])[] = [
  ['net/', 'network'],
  ['fs/mqueue/', 'ipc'],
  ['kernel/msgmax', 'ipc'],
  ['kernel/msgmnb', 'ipc'],
  ['kernel/msgmni', 'ipc'],
  ['kernel/sem', 'ipc'],
  ['kernel/shmall', 'ipc'],
  ['kernel/shmmax', 'ipc'],
  ['kernel/shmmni', 'ipc'],
  ['kernel/shm_rmid_forced', 'ipc'],
  ['kernel/domainname', 'uts'],
  ['user/', 'user'],
];

/**
 * The file of a kernel parameter below /proc/sys, or undefined for a name that is none. As in sysctl(8), the separator
 * is whichever of `.` and `/` comes first, and the other then stands for itself: `net.ipv4.conf.eth0/1.forwarding`.
 */
export function sysctlPath(name: string): string | undefined {
  if (!/^[A-Za-z0-9_@:+./-]{1,255}$/.test(name)) return undefined;
  const slash = name.indexOf('/');
  const dot = name.indexOf('.');
  const slashes = slash !== -1 && (dot === -1 || slash < dot);
  const path = slashes ? name : name.replace(/[./]/g, (separator) => (separator === '.' ? '/' : '.'));
  return path.split('/').some((part) => part === '' || part === '.' || part === '..') ? undefined : path;
}

/** The type of the namespace that a parameter (by its path) belongs to; undefined for one of the whole machine. */
export function sysctlNamespace(path: string): NamespaceType | undefined {
  return owners.find(([name]) => (name.endsWith('/') ? path.startsWith(name) : path === name))?.[1];
}

/** Why a parameter cannot be set, as a message; undefined where it can. `own` are the types of the container's own. */
export function sysctlFault(name: string, own: ReadonlySet<NamespaceType>): string | undefined {
  const path = sysctlPath(name);
  if (path === undefined) return 'is no name of a kernel parameter';
  if (path === 'kernel/hostname') return 'is set by "hostname"';
  const owner = sysctlNamespace(path);
  if (owner === undefined) return 'belongs to the whole machine, not to a namespace';
  return own.has(owner) ? undefined : `belongs to the ${owner} namespace, which this container shares`;
}
