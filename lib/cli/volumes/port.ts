/** A volume as `volume ls` and `volume inspect` show it: docker's names. */
export interface ShownVolume {
  readonly CreatedAt: string;
  readonly Driver: string;
  readonly Labels: Readonly<Record<string, string>>;
  readonly Mountpoint: string;
  readonly Name: string;
  readonly Options: Readonly<Record<string, string>>;
  readonly Scope: string;
  readonly Status?: Readonly<Record<string, unknown>>;
  /** Not docker's: who uses it. */
  readonly Containers: readonly string[];
}

export interface VolumeWords {
  readonly name: string | undefined;
  readonly driver: string | undefined;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the commands about volumes need: volumes are Node's business, which bin/runts.js hands in. */
export interface VolumeVerbs {
  create(words: VolumeWords): Promise<ShownVolume>;
  /** `filters` as `--filter` has them; with a warning for each plugin that could not be asked. */
  list(
    filters: readonly string[],
  ): Promise<{ readonly volumes: readonly ShownVolume[]; readonly warnings: readonly string[] }>;
  inspect(name: string): Promise<ShownVolume>;
  remove(name: string, force: boolean): Promise<void>;
  prune(
    all: boolean,
    filters: readonly string[],
  ): Promise<{ readonly removed: readonly string[]; readonly bytes: number }>;
}
