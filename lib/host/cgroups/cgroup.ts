import type { Handle } from '../host.ts';

/** A cgroup of a container, as it is remembered on disk. */
export interface CgroupRecord {
  readonly driver: 'cgroupfs' | 'systemd';
  /** The directory in the cgroup v2 file system, absolute. */
  readonly path: string;
  /** Directories that are made for it, the outermost first; they go with it when they are empty. */
  readonly made: readonly string[];
  /** With systemd: its scope, and whose manager has it. */
  readonly unit?: string | undefined;
  readonly manager?: 'system' | 'user' | undefined;
}

/** A cgroup that exists, or what is left of one. */
export interface Cgroup {
  readonly record: CgroupRecord;
  /**
   * For a clone (CLONE_INTO_CGROUP): it, or a cgroup below it (cleaned as text; it is never left). Whoever asks closes it.
   */
  open(below?: string): Promise<Handle>;
  /** Moves a process into it, where it could not be born there. */
  enter(pid: number): Promise<void>;
  /** The processes in it and below it, by pid; those that our pid namespace does not have are left out. */
  processes(): Promise<number[]>;
  /** Kills everything in it and below it (cgroup.kill; frozen processes, too), and waits until it is empty. Bounded. */
  kill(): Promise<void>;
  /** Kills, removes it, what is below it, what was made above it, and its unit. What is gone already is fine. */
  remove(): Promise<void>;
  /** Waits until nothing runs in it any more. Bounded: what cannot be frozen is thawed again, and an error. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  isFrozen(): Promise<boolean>;
}
