import type { Maps } from '../plan/plan.ts';
import type { Frame } from '../program/frames.ts';
import type { Cancel } from './cancel.ts';

/** What the core needs of the world. No system calls here: those are ops of a program for the init. */
export interface Host {
  readonly files: Files;
  readonly cgroups: CgroupFiles;
  readonly processes: Processes;
  readonly sockets: Sockets;
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly random: (bytes: number) => Uint8Array;
  readonly environment: Environment;
}

/** Who and where we are; read once. */
export interface Environment {
  readonly uid: number;
  readonly gid: number;
  /** CAP_SYS_ADMIN over the mounts that we see: they can be cloned, and where their file system lets us, id-mapped. */
  readonly privileged: boolean;
  /** The login name of `uid`, for /etc/subuid; undefined where there is none. */
  readonly userName: string | undefined;
  readonly arch: 'x64' | 'arm64';
  readonly kernel: string;
  readonly cwd: string;
  /** `$XDG_RUNTIME_DIR`, or `/run/user/UID`: where the user's own systemd and bus are. */
  readonly runtimeDirectory: string;
  /** Where state of containers is kept: `$XDG_RUNTIME_DIR/runts`, or `/run/runts`. */
  readonly stateDirectory: string;
  /** Where images and unpacked root file systems are kept: `$XDG_DATA_HOME/runts`, or `/var/lib/runts`. */
  readonly dataDirectory: string;
  /** Absolute paths of programs of the host that were found: never looked up by name later. */
  readonly programs: { readonly newuidmap?: string; readonly newgidmap?: string; readonly fuseOverlayfs?: string };
}

/** Paths here are the host's. */
export interface Files {
  /**
   * The whole text of a small file (16 MiB at most). What is not UTF-8 is replaced, or with 'strict' refused. A pipe is read
   * to its end, and one that says nothing for seconds is given up.
   */
  read(path: string, how?: 'strict'): Promise<string>;
  /** A regular file below a root, resolved inside it (no link leads out); undefined where there is none. */
  readBelow(root: string, path: string, maxBytes: number): Promise<string | undefined>;
  /** Whether a path leads to a directory without any link on the way; where that cannot be told, it does not. */
  isStraight(path: string): Promise<boolean>;
  /** What a symbolic link holds; undefined where the path is not a link. */
  readLink(path: string): Promise<string | undefined>;
  /** One write(2) to a file that exists: cgroupfs and procfs need it so. */
  write(path: string, text: string): Promise<void>;
  /**
   * By a temporary file, with mode 0600 unless another is given, and a rename: whole or not at all for whoever looks, and after
   * our own end. After the machine's, too, on a host that keeps more than containers.
   */
  replace(path: string, text: string, mode?: number): Promise<void>;
  list(path: string): Promise<string[]>;
  /** 'directory', 'file', 'other', or undefined where there is nothing. Follows links. */
  kind(path: string): Promise<'directory' | 'file' | 'other' | undefined>;
  /** Whether we may write to a file, or make entries in a directory: permissions and read-only mounts (access(2)). */
  canWrite(path: string): Promise<boolean>;
  /** Whether a directory is ours, and nobody else may put anything into it; a link that leads to it must be ours, too. */
  isPrivate(path: string): Promise<boolean>;
  /** Fails with EEXIST where it exists; the directories above must exist. */
  makeDirectory(path: string, mode: number): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  open(path: string, how: 'path' | 'read' | 'directory'): Promise<Handle>;
  /** An exclusive lock on a file that is made when missing; held until the handle is closed. EWOULDBLOCK when taken. */
  lock(path: string): Promise<Handle>;
  /** Adds to the end of a file, which is made with mode 0644 when missing: a log. */
  append(path: string, text: string): Promise<void>;
  /** lchown(2). */
  setOwner(path: string, uid: number, gid: number): Promise<void>;
  /** Hears of changes to a file (inotify IN_MODIFY): cgroup.events, memory.events. */
  watch(path: string): Promise<Watch>;
  /** The device number of a device node; undefined where the path is none. Follows links. */
  device(
    path: string,
  ): Promise<{ readonly type: 'c' | 'b'; readonly major: number; readonly minor: number } | undefined>;
}

/**
 * The cgroup v2 file system, at absolute paths of the host: what is not of it, or is reached through a link or over something
 * that was mounted on the way, is neither read, made, entered, written nor removed (ELOOP, EXDEV; EINVAL for a `..`).
 */
export type CgroupFiles = Pick<
  Files,
  'read' | 'write' | 'list' | 'kind' | 'makeDirectory' | 'removeDirectory' | 'open' | 'setOwner' | 'watch'
>;

export interface Watch extends Handle {
  /** Fulfilled at the next change, or at once when there was one since the last call; rejects once closed. */
  changed(): Promise<void>;
}

export interface Processes {
  /** Clones a new init: it waits on its channel for a program. */
  spawn(request: SpawnRequest): Promise<Session>;
  /**
   * The same by a zygote (op `clone_inits`), which writes the id maps, too. Requests are answered in their order. Rejects
   * where the zygote has ended, or says no.
   */
  spawnBy(zygote: Session, request: SpawnRequest): Promise<Session>;
  /**
   * An init in our own namespaces, as a copy of a zygote (op `fork_inits`). Rejects where there is none: the zygote refuses, or has
   * ended (EPIPE). ETIMEDOUT, where the zygote did not answer and was killed, and EMFILE: there may have been one, which has begun.
   */
  forkBy(zygote: Session, request: ForkRequest): Promise<Session>;
  /** The same, of one whose errand has it wait at a sync point: it is told of when it is let go. */
  forkAhead(zygote: Session, request: ForkRequest): Waiting;
  /** Such an init by whatever zygote there is; undefined where there is none. */
  ahead(request: ForkRequest): Waiting | undefined;
  /** Runs a program of the host to its end: newuidmap, hooks. Output is bounded to 64 KiB. */
  run(file: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** By pidfd, never by number. False when the process is gone. */
  signal(process: Handle, signal: number): boolean;
  /** The process of a pid, by pidfd; undefined where there is none. Whether it is the one that was meant is for its start time to say. */
  find(pid: number): Promise<Handle | undefined>;
  /** Fulfilled when a process has ended, a child of ours or not (its pidfd is readable). */
  ended(process: Handle): Promise<void>;
  /**
   * The channel of an init that waits at a socket (op `await_start`), and the process behind it, which need not be our
   * child: then `exit` says only that it has ended. ECONNREFUSED: nobody waits there any more.
   */
  connect(path: string, pid: number, process: Handle): Promise<Session>;
  /** A descriptor that our caller gave us (`--preserve-fds`), as a handle of its own; undefined where it is not open. */
  inherited(fd: number): Handle | undefined;
}

/** Sockets of the unix family, at paths of the host of any length. */
export interface Sockets {
  /** Listens for connections (SOCK_SEQPACKET) at a path that must be free; mode 0600. */
  listen(path: string): Promise<Handle>;
  /** Connects (SOCK_STREAM), sends a message with handles, and closes: console sockets and the like. */
  deliver(path: string, message: Uint8Array, handles: readonly Handle[]): Promise<void>;
  /** Two connected ends (SOCK_STREAM): one to talk over, one to hand out. */
  pair(): Promise<{ readonly ours: Stream; readonly theirs: Handle }>;
  /** A connection to talk over (SOCK_STREAM), to a path or to an abstract address (`\0name`): the bus of systemd. */
  connect(path: string): Promise<Stream>;
}

export interface Stream extends Handle {
  write(bytes: Uint8Array): Promise<void>;
  /** What has come in, 64 KiB at most; undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
}

export interface Kernel {
  /** A read-only file of this content that has no path (a sealed memfd). */
  blob(content: Uint8Array): Handle;
  /**
   * Loads an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE) and attaches it to a cgroup, beside those of others
   * (BPF_F_ALLOW_MULTI) and in the place of the one that we attached before (BPF_F_REPLACE where there is one). It stays
   * when we end.
   */
  filterDevices(cgroup: Handle, program: Uint8Array): Promise<void>;
  /** What a project has on the file system of a directory. ENOSYS and others: it has no quotas of projects. */
  projectQuota(directory: Handle, project: number): Promise<ProjectQuota>;
  /** How many bytes a project may have there; 0 is no limit. */
  limitProject(directory: Handle, project: number, bytes: number): Promise<void>;
  /** A directory, and all that will be made in it, belongs to a project from now on. */
  setProject(directory: Handle, project: number): Promise<void>;
}

export interface ProjectQuota {
  /** Limits hold; else there is accounting at most. */
  readonly enforced: boolean;
  /** Bytes. */
  readonly used: number;
  /** Bytes; 0 is none. */
  readonly limit: number;
}

/** What was found where somebody looked (`Files`). */
export type Look =
  | { readonly at: 'file'; readonly path: string; readonly text: string }
  | { readonly at: 'below'; readonly root: string; readonly path: string; readonly text: string | undefined }
  | { readonly at: 'straight'; readonly path: string };

export interface SpawnRequest {
  /** CLONE_NEW* flags. */
  readonly flags: number;
  /** A cgroup v2 directory: CLONE_INTO_CGROUP. */
  readonly cgroup?: Handle | undefined;
  /**
   * What it is to find on its channel when it begins. Whoever can leave it there does, or asks for it while the init is being
   * made, and the session says so. What it throws is why there is none.
   */
  readonly errand?: Errand | (() => Errand | undefined) | undefined;
  /**
   * How long, in milliseconds, the host may stay with an init that has its errand before it tells of it: what it hears meanwhile it
   * tells at once, and of one that is over by then nothing else is to be waited for. For one whose frames nobody has to answer,
   * and that is ours to collect.
   */
  readonly stayMs?: number | undefined;
  /** By how many children the init is to be followed (FORKED), one after the other: whoever stays waits for the last one's end alone. */
  readonly children?: number | undefined;
  /** What has to be as it was, or nothing is made: ESTALE; ENOSYS of a host that cannot look while it clones. */
  readonly looks?: readonly Look[] | undefined;
  /** What the maps of its user namespace are to be. Whoever can write them at once does, and the session says so. */
  readonly maps?: Maps | undefined;
  /**
   * It is to outlive us, and whoever gets our children then (a subreaper such as conmon) waits for its status: how it ended
   * is looked at, and it is not collected.
   */
  readonly detached?: boolean | undefined;
}

/** An init as it is asked of a zygote that copies itself: it has its errand at hand. */
export type ForkRequest = Pick<SpawnRequest, 'cgroup' | 'stayMs' | 'children'> & { readonly errand: Errand };

/** An init that waits for whoever may need it soon. It keeps nobody alive, and ends with us. */
export interface Waiting {
  /**
   * Lets it go on, once, by what it is to hear. Rejects where it has ended, and where we have other rights than when it was asked for (EPIPE): it has done
   * nothing. ETIMEDOUT and EMFILE are those of `forkBy`, and there is an answer within as long.
   */
  letGo(word: Uint8Array): Promise<Session>;
  /** Ends one that nobody has let go; fulfilled when there is nothing of it. */
  close(): Promise<void>;
}

/** All that an init needs to do what it is there for. */
export interface Errand {
  readonly messages: readonly Uint8Array[];
  /** They go with the first one. */
  readonly handles: readonly Handle[];
  /** Of one that is at hand: this much of a text goes into each place of the first message. */
  readonly fill?: { readonly text: string; readonly places: Places } | undefined;
}

/** Pairs: where, and how many bytes. */
export type Places = Uint32Array;

export interface RunOptions {
  /** argv[0]; the file itself unless given. */
  readonly name?: string | undefined;
  /** What its standard input has; it need not read it. */
  readonly input?: string | undefined;
  /** The whole environment, as `NAME=value`; empty unless given: ours is never inherited. */
  readonly environment?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
  /** After this time everything in its process group is killed, and the result says so. */
  readonly timeoutMs?: number | undefined;
  /** Kills as much when it is given. */
  readonly cancel?: Cancel | undefined;
}

export interface RunResult {
  /** 128 + n when signal n ended it. */
  readonly code: number;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** The live channel to one init, and the process behind it. */
export interface Session {
  readonly pid: number;
  readonly process: Handle;
  /** It has the errand of the request. */
  readonly errand?: boolean | undefined;
  /** The id maps of the request are written. */
  readonly mapped?: boolean | undefined;
  /** Why whoever cloned it could not write them: a file in /proc/PID, and what the kernel said. */
  readonly unmapped?: { readonly file: string; readonly error: unknown } | undefined;
  /**
   * Of an init that had ended when the host told of it: how, and what it has said, which is still to be received; undefined where
   * anything of that is no frame, or has handles.
   */
  readonly over?: { readonly exit: Exit; readonly frames: readonly Frame[] | undefined } | undefined;
  /** One message, at most limits.messageBytesMax + 8 bytes, with handles (which stay ours to close). */
  send(message: Uint8Array, handles?: readonly Handle[]): Promise<void>;
  /** The next message from the init; undefined when the channel has ended: the command was exec'd, or the init died. */
  receive(): Promise<Message | undefined>;
  /** How the process ended, by the kernel. Never rejects. */
  readonly exit: Promise<Exit>;
  /** Takes another process over as the one behind this channel (a FORKED frame brought its pidfd). */
  adopt(pid: number, process: Handle): void;
  /**
   * Takes it back from whoever was to have its status: of an init that ended before there was a command, or gave its place to a
   * child, nobody was told.
   */
  collect(): void;
  /** Whether this session keeps the event loop of the host alive. It does from the start. */
  hold(alive: boolean): void;
  /** Closes the channel: an init that waits, or that reaps, ends. The process handle stays open until the exit is known. */
  close(): void;
}

export interface Message {
  readonly bytes: Uint8Array;
  readonly handles: readonly Handle[];
}

/** Exactly one of the two is set. */
export interface Exit {
  readonly code: number | undefined;
  readonly signal: number | undefined;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  after(ms: number): { readonly done: Promise<void>; cancel(): void };
}

/** Opaque: a descriptor only inside the adapter. Closing twice is fine. */
export interface Handle {
  close(): void;
}
