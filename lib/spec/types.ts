// The OCI runtime specification 1.3 for Linux, as config.json has it. `checkSpec` makes a value of these types out of an
// unknown one; the fields of other platforms are left out, as are keys that nobody knows.
import type { NamespaceType } from './names.ts';

export type { NamespaceType } from './names.ts';

/** A 64-bit integer: a bigint where a double would not be exact. */
export type Int64 = number | bigint;

type Texts = readonly string[];
type TextMap = Readonly<Record<string, string>>;

/** A container in the words of the OCI runtime specification: what `config.json` of a bundle holds. */
export interface Spec {
  readonly ociVersion: string;
  /** Optional to create; nothing can be started without. */
  readonly process?: Process | undefined;
  readonly root: Root;
  readonly hostname?: string | undefined;
  readonly domainname?: string | undefined;
  readonly mounts?: readonly Mount[] | undefined;
  readonly hooks?: Hooks | undefined;
  readonly annotations?: TextMap | undefined;
  readonly linux: Linux;
}

/** A value of this type that is still being put together. */
export type Draft<T> = unknown extends T
  ? T
  : T extends string | number | bigint | boolean | null | undefined
    ? T
    : { -readonly [K in keyof T]: Draft<T[K]> };

export interface Root {
  /** Absolute, or relative to the bundle. */
  readonly path: string;
  readonly readonly?: boolean | undefined;
}

export interface Process {
  readonly terminal?: boolean | undefined;
  readonly consoleSize?: { readonly height: number; readonly width: number } | undefined;
  readonly user: User;
  readonly args: Texts;
  readonly env?: Texts | undefined;
  readonly cwd: string;
  readonly capabilities?: Capabilities | undefined;
  readonly rlimits?: readonly Rlimit[] | undefined;
  readonly noNewPrivileges?: boolean | undefined;
  readonly apparmorProfile?: string | undefined;
  readonly selinuxLabel?: string | undefined;
  readonly oomScoreAdj?: number | undefined;
  readonly scheduler?: Scheduler | undefined;
  readonly ioPriority?: IoPriority | undefined;
  readonly execCPUAffinity?: { readonly initial?: string | undefined; readonly final?: string | undefined } | undefined;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
  readonly umask?: number | undefined;
  readonly additionalGids?: readonly number[] | undefined;
  readonly username?: string | undefined;
}

/** Names that this version does not know are no error: they are skipped, and `checkSpec` warns. */
export interface Capabilities {
  readonly bounding?: Texts | undefined;
  readonly effective?: Texts | undefined;
  readonly permitted?: Texts | undefined;
  readonly inheritable?: Texts | undefined;
  readonly ambient?: Texts | undefined;
}

export interface Rlimit {
  readonly type: string;
  readonly soft: Int64;
  readonly hard: Int64;
}

export interface Scheduler {
  readonly policy: string;
  readonly nice?: number | undefined;
  readonly priority?: number | undefined;
  readonly flags?: Texts | undefined;
  readonly runtime?: Int64 | undefined;
  readonly deadline?: Int64 | undefined;
  readonly period?: Int64 | undefined;
}

export interface IoPriority {
  readonly class: string;
  readonly priority?: number | undefined;
}

export interface Mount {
  readonly destination: string;
  readonly type?: string | undefined;
  readonly source?: string | undefined;
  readonly options?: Texts | undefined;
  readonly uidMappings?: readonly IdMapping[] | undefined;
  readonly gidMappings?: readonly IdMapping[] | undefined;
}

export interface Hook {
  readonly path: string;
  readonly args?: Texts | undefined;
  readonly env?: Texts | undefined;
  /** In seconds. */
  readonly timeout?: number | undefined;
}

export interface Hooks {
  readonly prestart?: readonly Hook[] | undefined;
  readonly createRuntime?: readonly Hook[] | undefined;
  readonly createContainer?: readonly Hook[] | undefined;
  readonly startContainer?: readonly Hook[] | undefined;
  readonly poststart?: readonly Hook[] | undefined;
  readonly poststop?: readonly Hook[] | undefined;
}

export interface Linux {
  readonly namespaces: readonly Namespace[];
  readonly uidMappings?: readonly IdMapping[] | undefined;
  readonly gidMappings?: readonly IdMapping[] | undefined;
  readonly timeOffsets?: Readonly<Record<string, TimeOffset>> | undefined;
  readonly devices?: readonly Device[] | undefined;
  readonly netDevices?: Readonly<Record<string, NetDevice>> | undefined;
  readonly cgroupsPath?: string | undefined;
  readonly resources?: Resources | undefined;
  readonly intelRdt?: IntelRdt | undefined;
  readonly memoryPolicy?: MemoryPolicy | undefined;
  readonly sysctl?: TextMap | undefined;
  readonly seccomp?: SeccompProfile | undefined;
  readonly rootfsPropagation?: string | undefined;
  readonly maskedPaths?: Texts | undefined;
  readonly readonlyPaths?: Texts | undefined;
  readonly mountLabel?: string | undefined;
  readonly personality?: { readonly domain: string; readonly flags?: Texts | undefined } | undefined;
}

export interface Namespace {
  readonly type: NamespaceType;
  /** An existing one to join; absent or empty for a new one. */
  readonly path?: string | undefined;
}

export interface IdMapping {
  readonly containerID: number;
  readonly hostID: number;
  readonly size: number;
}

export interface TimeOffset {
  readonly secs?: Int64 | undefined;
  readonly nanosecs?: number | undefined;
}

export interface Device {
  readonly type: 'c' | 'b' | 'u' | 'p';
  readonly path: string;
  /** Present unless `type` is `p`. */
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  /** Some callers leave the file type's bits in: use the lower twelve. */
  readonly fileMode?: number | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export interface NetDevice {
  readonly name?: string | undefined;
}

export interface IntelRdt {
  readonly closID?: string | undefined;
  readonly schemata?: Texts | undefined;
  readonly l3CacheSchema?: string | undefined;
  readonly memBwSchema?: string | undefined;
  readonly enableMonitoring?: boolean | undefined;
  readonly enableCMT?: boolean | undefined;
  readonly enableMBM?: boolean | undefined;
}

export interface MemoryPolicy {
  readonly mode: string;
  readonly nodes?: string | undefined;
  readonly flags?: Texts | undefined;
}

/** Only what every reader needs; the exact type, and what its fields mean, is in lib/seccomp. */
export interface SeccompProfile {
  readonly defaultAction: string;
  readonly [key: string]: unknown;
}

export interface Resources {
  readonly devices?: readonly DeviceRule[] | undefined;
  readonly memory?: MemoryResources | undefined;
  readonly cpu?: CpuResources | undefined;
  readonly pids?: { readonly limit: Int64 } | undefined;
  readonly blockIO?: BlockIoResources | undefined;
  readonly hugepageLimits?: readonly { readonly pageSize: string; readonly limit: Int64 }[] | undefined;
  readonly network?: NetworkResources | undefined;
  readonly rdma?: Readonly<Record<string, RdmaLimit>> | undefined;
  readonly unified?: TextMap | undefined;
}

export interface DeviceRule {
  readonly allow: boolean;
  readonly type?: string | undefined;
  readonly major?: number | undefined;
  readonly minor?: number | undefined;
  readonly access?: string | undefined;
}

export interface MemoryResources {
  readonly limit?: Int64 | undefined;
  readonly reservation?: Int64 | undefined;
  /** Memory and swap together. */
  readonly swap?: Int64 | undefined;
  readonly kernel?: Int64 | undefined;
  readonly kernelTCP?: Int64 | undefined;
  readonly swappiness?: number | undefined;
  readonly disableOOMKiller?: boolean | undefined;
  readonly useHierarchy?: boolean | undefined;
  readonly checkBeforeUpdate?: boolean | undefined;
}

export interface CpuResources {
  readonly shares?: Int64 | undefined;
  readonly quota?: Int64 | undefined;
  readonly burst?: Int64 | undefined;
  readonly period?: Int64 | undefined;
  readonly realtimeRuntime?: Int64 | undefined;
  readonly realtimePeriod?: Int64 | undefined;
  readonly cpus?: string | undefined;
  readonly mems?: string | undefined;
  readonly idle?: number | undefined;
}

export interface BlockIoResources {
  readonly weight?: number | undefined;
  readonly leafWeight?: number | undefined;
  readonly weightDevice?: readonly WeightDevice[] | undefined;
  readonly throttleReadBpsDevice?: readonly ThrottleDevice[] | undefined;
  readonly throttleWriteBpsDevice?: readonly ThrottleDevice[] | undefined;
  readonly throttleReadIOPSDevice?: readonly ThrottleDevice[] | undefined;
  readonly throttleWriteIOPSDevice?: readonly ThrottleDevice[] | undefined;
}

export interface WeightDevice {
  readonly major: number;
  readonly minor: number;
  readonly weight?: number | undefined;
  readonly leafWeight?: number | undefined;
}

export interface ThrottleDevice {
  readonly major: number;
  readonly minor: number;
  readonly rate: Int64;
}

export interface NetworkResources {
  readonly classID?: number | undefined;
  readonly priorities?: readonly { readonly name: string; readonly priority: number }[] | undefined;
}

export interface RdmaLimit {
  readonly hcaHandles?: number | undefined;
  readonly hcaObjects?: number | undefined;
}
