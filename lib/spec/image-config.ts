/** The `config` of an image: what its maker wants to be run, and how. Empty and null are as good as absent. */
export interface ImageConfig {
  readonly Env?: readonly string[] | undefined;
  readonly Cmd?: readonly string[] | undefined;
  readonly Entrypoint?: readonly string[] | undefined;
  readonly WorkingDir?: string | undefined;
  readonly User?: string | undefined;
  readonly StopSignal?: string | undefined;
  readonly ExposedPorts?: Readonly<Record<string, unknown>> | undefined;
  readonly Volumes?: Readonly<Record<string, unknown>> | undefined;
  readonly Labels?: Readonly<Record<string, string>> | undefined;
  readonly Healthcheck?: Healthcheck | undefined;
}

/** How the image's maker would find out whether a container works; nothing here runs it. */
export interface Healthcheck {
  /** `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty: as the image below has it. */
  readonly Test?: readonly string[] | undefined;
  /** In nanoseconds, as are the other times. */
  readonly Interval?: number | undefined;
  readonly Timeout?: number | undefined;
  readonly StartPeriod?: number | undefined;
  readonly StartInterval?: number | undefined;
  readonly Retries?: number | undefined;
}
