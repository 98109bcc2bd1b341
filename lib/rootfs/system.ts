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
}

/**
 * A new mount of these needs rights over the namespace they show. Who shares that namespace with the host gets what the
 * host sees of it, which is the same thing; of control groups, nothing: the host's tree would tell about, and where it
 * is delegated let one write to, the groups of others (CVE-2023-25809).
 */
function fallbackOf(fstype: string, site: Site): Fallback | undefined {
  switch (fstype) {
    case 'proc':
      // With a PID namespace of its own, the host's /proc would show the wrong processes.
      return site.own.has('pid') ? undefined : { unless: ['EPERM'], clone: '/proc' };
    case 'mqueue':
      return site.own.has('ipc') ? undefined : { unless: ['EPERM'], clone: '/dev/mqueue' };
    case 'sysfs':
      // EPERM also where parts of our own /sys are hidden: then the clone has them hidden, too.
      return { unless: ['EPERM', 'EBUSY'], clone: '/sys' };
    case 'cgroup2':
      return { unless: ['EPERM', 'EBUSY', 'ENODEV', 'EINVAL'], clone: undefined };
    default:
      return undefined;
  }
}

const readonlyAttribute = 1;

/** Makes a mount of one of the kernel's own file systems, with what stands in for it where the kernel refuses. */
export function systemMount(site: Site, mount: SystemMount): string {
  const { ops } = site;
  const { fstype, options, attributes, origin } = mount;
  const dst = ops.register(fstype === 'cgroup2' ? 'cgroup' : fstype);
  const fallback = fallbackOf(fstype, site);
  if (fallback === undefined) {
    ops.op('fsmount', { dst, fstype, options, attributes }, origin);
    return dst;
  }
  const skip = fallback.clone === undefined || attributes === 0 ? 1 : 2;
  ops.op('fsmount', { dst, fstype, options, attributes }, origin, { unless: fallback.unless, skip });
  const instead = `${origin} (instead of ${fstype})`;
  if (fallback.clone === undefined) {
    const restricted = attributes | readonlyAttribute;
    ops.op('fsmount', { dst, fstype: 'tmpfs', options: ['mode=755'], attributes: restricted }, instead);
    return dst;
  }
  ops.op('clone_mount', { dst, path: fallback.clone, recursive: 1 }, instead);
  // What is mounted below the host's /sys must be as read-only as it is.
  const change = { src: dst, set: attributes, clear: 0, propagation: 0, recursive: 1 };
  if (attributes !== 0) ops.op('mount_attributes', change, instead);
  return dst;
}
