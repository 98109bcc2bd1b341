import type { Scope } from './record.ts';

/** A volume, as its driver is asked about it. */
export interface VolumeRequest {
  readonly name: string;
  /** As they were given to `create`. */
  readonly options: Readonly<Record<string, string>>;
}

/** A volume that is mounted or unmounted, for one use. */
export interface MountRequest extends VolumeRequest {
  /** Of one use: what is mounted under an id is unmounted under the same. */
  readonly id: string;
}

/** A volume, as its driver tells of it. */
export interface DriverVolume {
  readonly name: string;
  /** Undefined while it is not mounted. */
  readonly mountpoint?: string | undefined;
  readonly created?: string | undefined;
  readonly status?: Readonly<Record<string, unknown>> | undefined;
}

/**
 * What makes volumes and brings them to this machine. `create` is told of each volume once; `mount` gives a directory of
 * the host. What is optional is made up for: a driver without `get` and `list` has the volumes that it was told of.
 */
export interface VolumeDriver {
  /** What it is known by. */
  readonly name: string;
  /** Whether its volumes are of this machine, or seen by several. Default `local`. */
  readonly scope?: Scope;
  /** Makes one. */
  create(volume: VolumeRequest): Promise<void>;
  /** Removes one with all that is in it. */
  remove(volume: VolumeRequest): Promise<void>;
  /** Gives the absolute path of its files on the host. */
  mount(volume: MountRequest): Promise<string>;
  /** After the last use under this id. */
  unmount(volume: MountRequest): Promise<void>;
  /** Undefined where there is none. */
  get?(name: string): Promise<DriverVolume | undefined>;
  /** All that it has. */
  list?(): Promise<readonly DriverVolume[]>;
}
