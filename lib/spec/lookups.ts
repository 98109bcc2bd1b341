import type { NamespaceType } from './names.ts';
import type { Device } from './types.ts';

/** What the host found where one configuration looks: gathered by lib/host/lookups.ts, an input to the compiler like Facts. */
export interface Lookups {
  /** Where the host has the node of a device, by `deviceKey`. */
  readonly devices: Readonly<Record<string, string>>;
  /** What the symbolic links hold that mounts want to be copied as such (`copy-symlink`), by their path. */
  readonly links: Readonly<Record<string, string>>;
  /** Whether there is a /proc/kcore. */
  readonly kcore: boolean;
  /** Whether SELinux labels files. */
  readonly selinux: boolean;
  /** Types of the namespaces to join that are our own: what the container would change in them is the host's. */
  readonly shared?: readonly NamespaceType[] | undefined;
}

/** Of a host that was not asked. */
export const nothingFound: Lookups = { devices: {}, links: {}, kcore: false, selinux: false };

/** What a device is called in `Lookups.devices`: `c 1:3`. */
export const deviceKey = ({ type, major, minor }: Pick<Device, 'type' | 'major' | 'minor'>): string =>
  `${type === 'u' ? 'c' : type} ${major}:${minor}`;
