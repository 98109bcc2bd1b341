import { attributes } from './attributes.ts';
import type { Site } from './site.ts';

/** One of the kernel's own file systems, about to be mounted. */
export interface SystemMount {
  readonly fstype: string;
  readonly options: readonly string[];
  readonly attributes: number;
  readonly origin: string;
}

/** Where the kernel refuses a new mount of it: what stands in. */
interface Fallback {
  readonly unless: readonly string[];
  /** A path of the host whose mount is cloned, or nothing: an empty directory. */
  readonly clone: string | undefined;
  /** Attributes of the clone and of all mounts below it, beside those that were asked for. */
  readonly forced: number;
  /** Where the host has none either, an empty directory does. */
  readonly orEmpty?: boolean;
}

/**
 * A new mount of these needs rights over the namespace they show. Who shares that namespace with the host gets what the
 * host sees of it, which is the same thing; but what is the machine's, devices and control groups, read-only, and with
 * all that is mounted there (CVE-2023-25809). With a cgroup namespace of its own, nothing: the host's tree would tell
 * about the groups of others.
 */
function fallbackOf(fstype: string, site: Site): Fallback | undefined {
  switch (fstype) {
    case 'proc':
      // With a PID namespace of its own, the host's /proc would show the wrong processes.
      return site.own.has('pid') ? undefined : { unless: ['EPERM'], clone: '/proc', forced: 0 };
    case 'mqueue':
      return site.own.has('ipc') ? undefined : queues;
    case 'sysfs':
      // Who leaves the host's mounts is root of the host, from whom nothing is hidden; and a new network has a new one.
      if (site.leaves && site.own.has('network')) return undefined;
      // EPERM also where parts of our own /sys are hidden: then the clone has them hidden, too.
      return { unless: ['EPERM', 'EBUSY'], clone: '/sys', forced: restricted };
    case 'cgroup2': {
      const unless = ['EPERM', 'EBUSY', 'ENODEV', 'EINVAL'];
      return { unless, clone: site.own.has('cgroup') ? undefined : '/sys/fs/cgroup', forced: restricted };
    }
    default:
      return undefined;
  }
}

/** Programs use queues by system calls; the mount only lists them. */
const queues: Fallback = { unless: ['EPERM'], clone: '/dev/mqueue', forced: 0, orEmpty: true };

const restricted = attributes.readonly | attributes.nosuid | attributes.nodev | attributes.noexec;

/** Makes a mount of one of the kernel's own file systems, with what stands in for it where the kernel refuses. */
export function systemMount(site: Site, mount: SystemMount): string {
  const { ops } = site;
  const { fstype, options, attributes: set, origin } = mount;
  const dst = ops.register(fstype === 'cgroup2' ? 'cgroup' : fstype);
  const fallback = fallbackOf(fstype, site);
  if (fallback === undefined) {
    ops.op('fsmount', { dst, fstype, options, attributes: set }, origin);
    return dst;
  }
  const all = set | fallback.forced;
  const empty = { dst, fstype: 'tmpfs', options: ['mode=755'], attributes: set | attributes.readonly };
  const instead = `${origin} (instead of ${fstype})`;
  const { unless, clone, orEmpty = false } = fallback;
  const skip = clone === undefined ? 1 : 1 + (orEmpty ? 1 : 0) + (all === 0 ? 0 : 1);
  ops.op('fsmount', { dst, fstype, options, attributes: set }, origin, { unless, skip });
  if (clone === undefined) {
    ops.op('fsmount', empty, instead);
    return dst;
  }
  ops.op('clone_mount', { dst, path: clone, recursive: 1 }, instead, orEmpty ? { unless: ['ENOENT'], skip: 1 } : {});
  if (orEmpty) ops.op('fsmount', empty, instead);
  // What is mounted below it must be as restricted as it is.
  if (all !== 0) ops.op('mount_attributes', { src: dst, set: all, clear: 0, propagation: 0, recursive: 1 }, instead);
  return dst;
}
