import type { CgroupRecord } from '../cgroups/cgroup.ts';

/**
 * What is known of a container on disk (`<root>/<id>/state.json`): written before anything is made, and again, by rename,
 * at each step, so that whoever finds it can clean up whatever there is. Beside it: `config.json`, the configuration as
 * it was at create (the bundle is never read again); `start.sock`, where the init waits to be started; `lock`.
 */
export interface Record {
  readonly version: 1;
  readonly id: string;
  readonly ociVersion: string;
  /** Absolute. */
  readonly bundle: string;
  /** Absolute. */
  readonly rootfs: string;
  /** RFC 3339, with nanoseconds. */
  readonly created: string;
  /** The user who made it, by name or number. */
  readonly owner: string;
  readonly annotations: Readonly<globalThis.Record<string, string>>;
  /** `creating`: not all of it may be there. `created`: it waits, or has waited, to be started. */
  readonly phase: 'creating' | 'created';
  /** A start succeeded, or whoever made it starts it at once, for else it ends; without it, the socket tells. */
  readonly started: boolean;
  /** The first process, in our pid namespace, and field 22 of its /proc/PID/stat: a pid alone may be somebody else's by now. */
  readonly process?: { readonly pid: number; readonly startTime: string } | undefined;
  /** Where its processes are; absent where it has no cgroup of its own. */
  readonly cgroup?: CgroupRecord | undefined;
  /** Directories of resctrl that are ours to remove. */
  readonly intelRdt?: readonly string[] | undefined;
  readonly pidFile?: string | undefined;
}
