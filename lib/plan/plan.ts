import type { Property } from '../cgroups/scope.ts';
import type { Op } from '../program/ops.ts';
import type { LayersServer, OverlayLayers } from '../rootfs/overlay-root.ts';
import type { NamespaceType } from '../spec/names.ts';
import type { IntelRdt } from '../spec/types.ts';
import type { NetDeviceMove } from './network.ts';

/** One line of an id map: ids from `container` on inside are those from `host` on outside. */
export interface IdMap {
  readonly container: number;
  readonly host: number;
  readonly size: number;
}

/** How the maps of the new user namespace get written. */
export interface Maps {
  readonly uids: readonly IdMap[];
  readonly gids: readonly IdMap[];
  /** `deny`, or the kernel lets an ordinary user write no gid map (user_namespaces(7)). */
  readonly setgroups: 'allow' | 'deny';
  /** By newuidmap and newgidmap, or by our own write. */
  readonly by: 'write' | 'newuidmap';
  readonly origin: string;
}

/** Something that the host opens, and the init receives as a register before its first op. */
export type Input =
  /** Descriptor 0, 1 or 2 of the caller's choosing. */
  | { readonly kind: 'stdio'; readonly register: string; readonly stream: 0 | 1 | 2; readonly origin: string }
  /** A clone of a mount that the init itself may not make: opened by a helper that kept the host's rights. */
  | {
      readonly kind: 'mount';
      readonly register: string;
      readonly source: string;
      readonly recursive: boolean;
      /** Map owners through the container's user namespace where the file system can; leave them where it cannot. */
      readonly idmap: boolean;
      /** Map owners through these, of the mount's own, instead: an error where the file system cannot. */
      readonly owners?:
        | { readonly uids: readonly IdMap[]; readonly gids: readonly IdMap[]; readonly recursive: boolean }
        | undefined;
      readonly origin: string;
    }
  /** A namespace to join, by path; the host checks that it is one of this type. */
  | {
      readonly kind: 'namespace';
      readonly register: string;
      readonly type: NamespaceType;
      readonly path: string;
      readonly origin: string;
    }
  /** A mount namespace of the host's own in which nothing is mounted. */
  | { readonly kind: 'empty_mounts'; readonly register: string; readonly origin: string }
  /** The container's first process, by a pidfd that the host has of it. */
  | { readonly kind: 'process'; readonly register: string; readonly origin: string }
  /** The socket at which the container waits to be started. */
  | { readonly kind: 'listener'; readonly register: string; readonly origin: string }
  /** What a process 1 that outlives us is to hold: our ends of the command's output, and files. A number is a segment of the log. */
  | {
      readonly kind: 'outlive';
      readonly register: string;
      readonly part: 'stdout' | 'stderr' | 'exit' | number;
      readonly origin: string;
    }
  /** A descriptor of the caller's that the command gets, too. */
  | { readonly kind: 'inherited'; readonly register: string; readonly fd: number; readonly origin: string }
  | FuseInput
  | ViewInput;

/** A mount of layers whose files a program serves, which runs as long as the container does. */
export interface FuseInput {
  readonly kind: 'fuse';
  readonly register: string;
  readonly layers: OverlayLayers;
  readonly server: LayersServer;
  /** It is made in the container's user namespace. */
  readonly mapped: boolean;
  /** The layers have the ids of the host: the server gets them through a mount that maps owners. */
  readonly shared: boolean;
  /** Of the mount: MOUNT_ATTR_*. */
  readonly attributes: number;
  readonly origin: string;
}

/** The mount of a system view, which is served as long as the container lives. */
export interface ViewInput {
  readonly kind: 'view';
  readonly register: string;
  /** It is made in the container's user namespace. */
  readonly mapped: boolean;
  readonly origin: string;
}

/** One write to a control file of cgroup v2. */
export interface CgroupWrite {
  /** Whose file it is; undefined for those that every cgroup has. */
  readonly controller?: string | undefined;
  readonly file: string;
  readonly value: string;
  readonly origin: string;
  /** The same limit by other files: of all of them, whichever the kernel has are written, and one has to accept. */
  readonly or?: readonly { readonly file: string; readonly value: string }[] | undefined;
  /** Nothing is lost where the kernel has no such file. */
  readonly optional?: boolean | undefined;
  /** Where the kernel refuses it (EINVAL), it is tried again after the next one. */
  readonly afterNext?: boolean | undefined;
}

/** A cgroup of the container's own, made before the clone and removed after the end. */
export interface CgroupPlan {
  readonly driver: 'cgroupfs' | 'systemd';
  /** The directory below which everything happens, absolute: the top of the hierarchy, or what is delegated to us. */
  readonly parent: string;
  /** Path below it, without a leading slash; with systemd below the cgroup of its manager, which is below it. */
  readonly path: string;
  /** Controllers to enable for the children of each directory on the way. */
  readonly controllers: readonly string[];
  /** Further ones, for what they count: enabled where that can be, and left out where not. */
  readonly wanted?: readonly string[] | undefined;
  readonly writes: readonly CgroupWrite[];
  /** An eBPF program that decides which devices can be opened. */
  readonly deviceFilter?: Uint8Array | undefined;
  /** The user (in the ids of the host) who gets what a delegated cgroup consists of. */
  readonly owner?: number | undefined;
  /** With systemd: the scope to be made. */
  readonly unit?: UnitPlan | undefined;
  /** Nobody has asked for it: a container does without where it cannot be made. */
  readonly spare?: true | undefined;
}

/** A scope of systemd. */
export interface UnitPlan {
  readonly manager: 'system' | 'user';
  readonly name: string;
  readonly slice: string;
  /** Further properties of it. */
  readonly properties: readonly Property[];
}

/** One encoded stretch of the plan: ops on registers of its own. */
export interface Segment {
  /** Registers that are filled before the first op, in the order of the handles sent. */
  readonly inputs: readonly string[];
  readonly ops: readonly Op[];
}

/** What will be done, all of it, as data. */
export interface Plan {
  /** CLONE_NEW* flags of the clone. */
  readonly flags: number;
  readonly maps?: Maps | undefined;
  readonly cgroup?: CgroupPlan | undefined;
  readonly inputs: readonly Input[];
  readonly segment: Segment;
  /** The init stays as process 1 (op `reap`): the exit comes by frame, and closing the channel ends the container. */
  readonly reaps: boolean;
  /** Once the command is executed, process 1 needs the host no more (op `outlive`). */
  readonly outlives?: true | undefined;
  /** Network devices that the host moves at `tags.network`. */
  readonly netDevices?: readonly NetDeviceMove[] | undefined;
  /** Cache and memory bandwidth, which the host limits before the command runs. */
  readonly intelRdt?: IntelRdt | undefined;
  /** What was asked and is left out, as the specification or custom has it: for the caller to tell. */
  readonly warnings?: readonly Warning[] | undefined;
}

/** Something of the configuration that has no effect, or less than it says. */
export interface Warning {
  readonly origin: string;
  readonly message: string;
}

/** Tags of sync points and handles; `mount` is the first of as many as a helper has mounts. */
export const tags = {
  start: 1,
  console: 2,
  mount: 3,
  /** The new user namespace is there: the host writes its maps. */
  maps: 1000,
  /** The mounts are there: the host runs prestart and createRuntime hooks. */
  hooks: 1001,
  /** Op `receive`: the host sends the state, for createContainer hooks. */
  state: 1002,
  /** All is made; what follows GO is `await_start`, so the host may go. */
  created: 1003,
  /** The network namespace is there: the host moves devices into it. */
  network: 1005,
  /** The listener of seccomp notifications. */
  notify: 1004,
} as const;
