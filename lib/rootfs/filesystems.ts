import type { Lookups } from '../spec/lookups.ts';
import type { Site } from './site.ts';

/** File systems of the kernel's own, by the configuration's word for them. */
export const systemTypes: Readonly<Record<string, string>> = {
  proc: 'proc',
  sysfs: 'sysfs',
  mqueue: 'mqueue',
  // Version 1 has no namespace of its own to show, and is on its way out: the unified hierarchy it is.
  cgroup: 'cgroup2',
  cgroup2: 'cgroup2',
};

/** `linux.mountLabel` where SELinux is at work. Elsewhere it means nothing, and callers write it all the same. */
export function mountLabel(label: string | undefined, lookups: Lookups, warn: Site['warn']): string | undefined {
  if (label === undefined || label === '' || lookups.selinux) return label === '' ? undefined : label;
  warn('/linux/mountLabel', 'the label of mounts is left out: SELinux is not at work on this host');
  return undefined;
}

const labelWords = ['context=', 'fscontext=', 'defcontext=', 'rootcontext='];

/** The option that labels a new file system, unless the mount says its own. */
export function labelOption({ label }: Site, data: readonly string[]): string[] {
  if (label === undefined || data.some((option) => labelWords.some((word) => option.startsWith(word)))) return [];
  return [`context=${label}`];
}
