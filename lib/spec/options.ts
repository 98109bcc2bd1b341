import type { Bytes } from './bytes.ts';
import type { Draft, SeccompProfile, Spec } from './types.ts';

export { type Bytes, parseBytes } from './bytes.ts';
export { checkOptions, runOptionChecks } from './check-options.ts';

/** What `createContainer` takes: one source, and options that mean the same for each. */
export type ContainerOptions = Source & CommonOptions;

/** Every source, by the name of its option. */
interface Sources {
  readonly image: string;
  /** What `container.snapshot()` gave. */
  readonly from: SnapshotRecord;
  readonly rootfs: string;
  readonly bundle: string;
  /** This machine's own /usr and its companions, privately. */
  readonly host: true;
}

/** One source and none of the others: two do not compile. */
type Only<Name extends keyof Sources> = Pick<Sources, Name> & {
  readonly [Other in Exclude<keyof Sources, Name>]?: never;
};

/** Where the root file system comes from. */
export type Source =
  | (Only<'image'> & { readonly pull?: 'missing' | 'always' | 'never' })
  | Only<'from'>
  | Only<'rootfs'>
  | Only<'bundle'>
  | Only<'host'>;

/** The options that do not depend on the source. */
export interface CommonOptions {
  /** Of one container of a runtime at a time: ERR_EXISTS. Default: the first 12 digits of the id. */
  readonly name?: string;
  /** Replaces the image's Entrypoint, and with it its Cmd. */
  readonly entrypoint?: readonly string[];
  /** Replaces the image's Cmd. */
  readonly command?: readonly string[];
  /** Over the image's Env, `PATH`, `HOSTNAME` and `HOME`; nothing of this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Absolute; made where it is missing. Default: the image's WorkingDir, or `/`. */
  readonly cwd?: string;
  /** `user`, `1000`, `user:group` or `1000:1000`; names are those of the root file system. Default: the image's User, or root. */
  readonly user?: string;
  /** Default: the first 12 digits of the id. */
  readonly hostname?: string;
  /** Default: none. */
  readonly labels?: Labels;
  /** Default: none but those that every container has. */
  readonly mounts?: readonly MountOption[];
  /** Refused until there are networks: ERR_UNSUPPORTED. */
  readonly ports?: readonly Port[];
  /** Default `none`: loopback only. `private` and named ones are refused until there are networks: ERR_UNSUPPORTED. */
  readonly network?: 'none' | 'host' | 'private' | Named;
  /** Default: none. One that this host cannot enforce is ERR_UNSUPPORTED, never left out. */
  readonly limits?: Limits;
  /** How much the container may write to its root file system. */
  readonly storage?: { readonly size: Bytes };
  /** Default: Docker's fourteen. `ALL` is dropped before anything is added. */
  readonly capabilities?: { readonly add?: readonly Capability[]; readonly drop?: readonly Capability[] };
  /** Default `default`: Docker's profile, for the capabilities that the container has. */
  readonly seccomp?: 'default' | 'unconfined' | SeccompProfile;
  /** Default `true`: no program gains by its set-user-id bit or file capabilities. */
  readonly noNewPrivileges?: boolean;
  /** The root file system cannot be written to. Default `false`. */
  readonly readonly?: boolean;
  /** Default `auto`: as many ids as this user may map. With `host`, root inside is root outside. */
  readonly userns?: 'auto' | 'host' | { readonly uids: readonly IdMap[]; readonly gids: readonly IdMap[] };
  /** A time namespace whose clocks are ahead by so many milliseconds. */
  readonly time?: { readonly monotonic?: number; readonly boottime?: number };
  /**
   * What /proc and /sys say of processors, memory, load and time: those of the machine, or with `limits` those of the
   * container, as its limits and its use are now.
   */
  readonly systemView?: SystemView;
  /** Run a small reaper as process 1; it also ends the container when this process dies. Default `true`. */
  readonly init?: boolean;
  /** It outlives this process: any Runtime over the same root has it, until it is removed. Default `false`. */
  readonly detached?: boolean;
  /** How much is kept of what a detached container writes: so many files of such a size. Default 3 of 4 MiB. */
  readonly log?: LogLimits;
  /** Whether it is started again when it ends. Default `no`. */
  readonly restart?: RestartPolicyName | RestartPolicy;
  /** A terminal; then `stdout` has both streams. Default `false`. */
  readonly tty?: boolean | { readonly columns: number; readonly rows: number };
  /** Default `ignore`. */
  readonly stdin?: Stdio;
  /** Default `pipe`. */
  readonly stdout?: Stdio;
  /** Default `pipe`. */
  readonly stderr?: Stdio;
  /** Default: the image's StopSignal, or SIGTERM. */
  readonly stopSignal?: string;
  /** What `start()` waits for: `ready.log(…)` and the like, or a function of one's own. Default: nothing. */
  // biome-ignore lint/suspicious/noExplicitAny: the container it is called with belongs to a layer above.
  readonly ready?: (container: any, signal: any) => Promise<void>;
  /** Edits the OCI spec after everything above; for what has no option of its own. */
  // biome-ignore lint/suspicious/noConfusingVoidType: an edit in place returns nothing.
  readonly spec?: (spec: Draft<Spec>) => Spec | Draft<Spec> | void;
  /** An AbortSignal; it ends and removes the container whenever it comes. */
  readonly signal?: Abortable;
}

/** Whose processors, memory and time a container sees. */
export type SystemView = 'host' | 'limits';

/** How much of its log a detached container keeps. */
export interface LogLimits {
  /** Of one file; at least 64 KiB. Default 4 MiB. */
  readonly maxSize?: Bytes;
  /** From 1 to 16. Default 3. */
  readonly maxFiles?: number;
}

/** After which ends a container is started again: none; other exit codes than 0; all but a `stop()`; the same, and not by `restore()` after one. */
export type RestartPolicyName = 'no' | 'on-failure' | 'always' | 'unless-stopped';

/** A restart policy with its particulars. */
export interface RestartPolicy {
  readonly policy: RestartPolicyName;
  /** With `on-failure`: how often at most. Without, there is no limit. */
  readonly retries?: number;
}

/** What `run` takes beside a container's options. */
export interface RunOptions {
  /** For standard input. Default: none. */
  readonly input?: string | Uint8Array;
  /** In milliseconds; then the command gets its stop signal, and SIGKILL a second later. Default: none. */
  readonly timeout?: number;
  /** Default `true`: a failure rejects with ExitError; else it is a result like another. */
  readonly reject?: boolean;
  /** Of each stream; the rest is read, and thrown away. Default `100m`. */
  readonly maxOutput?: Bytes;
}

/** Something to see at `target` in the container. */
export type MountOption =
  | { readonly type: 'bind'; readonly source: string; readonly target: string; readonly readonly?: boolean }
  | {
      readonly type: 'volume';
      /** Its name, or the volume; without, a new one that goes with the container. One that is not there is made. */
      readonly source?: string | Named;
      readonly target: string;
      readonly readonly?: boolean;
      /** Default `true`: an empty volume gets what the image has at the target. */
      readonly copy?: boolean;
    }
  | { readonly type: 'tmpfs'; readonly target: string; readonly size?: Bytes; readonly mode?: number };

/** What the container may use at most. */
export interface Limits {
  /** In bytes, or as `512m`. */
  readonly memory?: Bytes;
  /** Swap beyond `memory`; 0 for none. */
  readonly swap?: Bytes;
  /** How many processors' worth of time: 0.5 is half of one. */
  readonly cpus?: number;
  /** Processes and threads. */
  readonly pids?: number;
  /** Which processors: `0-3,7`. */
  readonly cpuset?: string;
  /** By device. */
  readonly io?: readonly IoLimit[];
}

/** Bytes per second of one block device. */
export interface IoLimit {
  readonly device: string;
  readonly readBps?: Bytes;
  readonly writeBps?: Bytes;
}

/** Ids from `container` on inside are those from `host` on outside. */
export interface IdMap {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/** Words of the caller's own, kept with the container. */
export type Labels = Readonly<Record<string, string>>;
/** A port of the container, and of the host. */
export type Port = number | { readonly container: number; readonly host?: number; readonly protocol?: 'tcp' | 'udp' };
/** A capability by its name of capabilities(7), or all of them. */
export type Capability = `CAP_${string}` | 'ALL';
/** Where a stream of the command leads: nowhere, to a stream of the container, to this process's own, or to a descriptor. */
export type Stdio = 'ignore' | 'pipe' | 'inherit' | number;

/** A volume or network: an object of the product, of which the core knows the name only. */
export interface Named {
  readonly name: string;
}

/** A snapshot, of which the core knows the name only; what it is of, the layers above it know. */
export interface SnapshotRecord {
  readonly id: string;
  /** Bytes in the files that its container had changed or made. */
  readonly size: number;
  readonly created: object;
}

/** As much of an AbortSignal as can be told without the platform's types. */
export interface Abortable {
  readonly aborted: boolean;
  addEventListener(type: string, listener: () => void): void;
}
