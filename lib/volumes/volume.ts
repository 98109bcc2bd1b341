import type { Scope } from './record.ts';

/** A volume: what containers have in common, and what is left of them. Leaving its scope (`await using`) removes it. */
export interface Volume extends AsyncDisposable {
  readonly name: string;
  /** By its name; `local` is ours. */
  readonly driver: string;
  /** Where its files are on the host; empty where that is its driver's to say, or there is no such place. */
  readonly mountpoint: string;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether it is of this machine, or seen by several. */
  readonly scope: Scope;
  /** Undefined where its driver does not say. */
  readonly created: Date | undefined;
  /** Nobody has named it. */
  readonly anonymous: boolean;
  /** Those that use it, in whichever process. */
  readonly containers: readonly string[];
  /** What a plugin tells of it beside. */
  readonly status?: Readonly<Record<string, unknown>> | undefined;
}

export interface VolumeOptions<Driver> {
  /** Without, it gets one of 64 hexadecimal digits. */
  readonly name?: string | undefined;
  /** Its name, or a driver of this program. Default `local`. */
  readonly driver?: string | Driver | undefined;
  /** For the driver. */
  readonly options?: Readonly<Record<string, string>> | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** What `volumes.prune` has removed. */
export interface VolumesPruned {
  /** Names. */
  readonly removed: readonly string[];
  /** What is free now. */
  readonly bytes: number;
}
