import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RuntsError } from '../errors.ts';

/**
 * What a native function gives when the kernel refused: a positive errno, the number of the system call in
 * lib/program/ops.ts `steps`, and the string it was working on. lib/node/failure.ts makes an error of it.
 */
export interface Failure {
  readonly errno: number;
  readonly step: number;
  readonly detail: string;
}

/** An owned descriptor: closed once, at the latest when the object is collected. */
export interface NativeHandle {
  /** -1 once it is closed or taken. Only for the length of a call: nobody but the handle may close it. */
  readonly fd: number;
  close(): void;
  /** Gives the descriptor away, to be closed by whoever takes it. */
  release(): number;
  /** The one that is called at the next `close`, from it. */
  onClose(closed: (() => void) | undefined): void;
}

/** Messages with descriptors on a SOCK_SEQPACKET socket, on the event loop. Open, it is not collected. */
export interface NativeChannel {
  /** 0 or an errno; EAGAIN: the socket is full, `awaitWritable`. The handles stay the caller's. */
  send(bytes: Uint8Array, handles: readonly NativeHandle[]): number;
  /** No message is received until `resume`. */
  pause(): void;
  resume(): void;
  /** Asks for one call of `onWritable`. */
  awaitWritable(): void;
  /** Whether it keeps the event loop going. It does from the start. */
  keepAlive(alive: boolean): void;
  /** No callback comes after this. */
  close(): void;
}

/** Waits for a process to end, on the event loop. Open, it is not collected. */
export interface NativeExit {
  keepAlive(alive: boolean): void;
  /** The process is collected by nobody then. */
  close(): void;
  /** Whether the process is killed when this thread ends before it does; not from the start. */
  endWithUs(on: boolean): void;
}

/**
 * The master of a pseudo-terminal, or an end of a pipe, on the event loop, with writes that never block. Open, it is not
 * collected.
 */
export interface NativeTerminal {
  /** Whether bytes are received; not from the start. */
  read(on: boolean): void;
  /** How many bytes were taken, or -errno. Fewer than given: `onWritable` comes once. */
  write(bytes: Uint8Array): number;
  resize(columns: number, rows: number): Failure | undefined;
  size(): { columns: number; rows: number } | undefined;
  keepAlive(alive: boolean): void;
  close(): void;
}

declare const letter: unique symbol;
/** Opaque. */
export interface NativeLetter {
  readonly [letter]: never;
}

/** Id maps as the kernel reads them (user_namespaces(7)). */
export interface NativeMaps {
  readonly uids: string;
  readonly gids: string;
  readonly setgroups: 'allow' | 'deny';
}

declare const ahead: unique symbol;
/** Opaque: an init that waits. */
export interface NativeAhead {
  readonly [ahead]: never;
}

declare const looks: unique symbol;
/** Opaque. */
export interface NativeLooks {
  readonly [looks]: true;
}

/** A regular file with these bytes, or without any none; below a root where one is given. Or a directory that is reached without a link. */
export interface NativeLook {
  readonly path: string;
  readonly root?: string;
  readonly bytes?: Uint8Array;
  readonly straight?: true;
}

export interface Spawned {
  readonly pid: number;
  /** A pidfd. */
  readonly process: NativeHandle;
  /** Undefined for one that has `ended` and that had its errand from `spawn`: nothing is left on it. */
  readonly channel?: NativeHandle;
  /** Whether its id maps are written, and its errand is left. */
  readonly mapped?: boolean;
  readonly errand?: boolean;
  /** Why they are not; `detail` is the file. */
  readonly unmapped?: Failure;
  /** Our ends of the pipes that were made for its errand. */
  readonly outputs?: readonly NativeHandle[];
  /** What it has said, where somebody stayed with it. */
  readonly messages?: readonly { readonly bytes: Uint8Array; readonly handles: readonly NativeHandle[] }[];
  /** It, and whoever took its place, has ended and is collected, and it has sent descriptors. Neither is there where somebody else has collected it. */
  readonly ended?: { readonly code?: number; readonly signal?: number };
}

/**
 * What becomes of a clone. Of an init that had its errand, has ended and is collected by now, of which nothing is left but its
 * frames: its pid, those, one after the other, in a string of Latin-1 (to make that costs a tenth of an array of bytes), and how it
 * ended; neither code nor signal where somebody else has collected it. Then of each pipe that was made for it all that was written,
 * undefined for nothing, or our end where it is still open elsewhere.
 */
export type SpawnDone = (
  result: Spawned | Failure | number,
  frames?: string,
  code?: number,
  signal?: number,
  first?: NativeHandle | Uint8Array,
  second?: NativeHandle | Uint8Array,
) => void;

/** Every native function. The constructors throw when the loop can watch no more. They all trust their arguments: a wrong type ends the process, so only lib/node calls them. */
export interface Native {
  readonly Handle: new () => NativeHandle;
  readonly Channel: new (
    /** Its descriptor moves to the channel. */
    socket: NativeHandle,
    onMessage: (bytes: Uint8Array, handles: NativeHandle[]) => void,
    /** 0: the other end was closed. The channel is closed by then. */
    onEnd: (errno: number) => void,
    onWritable: () => void,
  ) => NativeChannel;
  readonly Exit: new (
    /** A pidfd; its descriptor moves to the watch. */
    process: NativeHandle,
    /** Whether it is ours to collect (waitid): whoever does not leaves its status to others. */
    collects: boolean,
    /** Both undefined when it was not collected, or is not a child of ours: its end is all that can be known. */
    onExit: (code: number | undefined, signal: number | undefined) => void,
    /** Whether its status is looked at and left to others, where it is not ours to collect. */
    looks?: boolean,
  ) => NativeExit;
  readonly Terminal: new (
    /** Its descriptor moves to the terminal. */
    master: NativeHandle,
    onBytes: (bytes: Uint8Array) => void,
    onEnd: (errno: number) => void,
    onWritable: () => void,
  ) => NativeTerminal;

  /**
   * What errands have in common, in a form for `spawn`: messages, pairs of where in the first one and how many bytes of a text,
   * and the path by which the null device is opened.
   */
  letter(messages: readonly Uint8Array[], places: Uint32Array, nullPath: string): NativeLetter;
  /** What was looked at, in a form for `spawn`. */
  looks(list: readonly NativeLook[]): NativeLooks;
  /**
   * Clones an init on a thread of the pool; it waits on its channel. Gives our end of that at once, unless there is an errand: what
   * is sent over it meanwhile the init finds when it begins. `flags`: CLONE_NEW*; `cgroup`: to be born in. The thread stays with the init for
   * at most `stayMs` milliseconds, hears what it says, and lets it go when its command has ended. What `done` does not take over
   * before it comes back, by a Channel on `channel` or by closing that, is killed and collected.
   */
  spawn(
    flags: number,
    cgroup: NativeHandle | undefined,
    done: (result: Required<Pick<Spawned, 'pid' | 'process' | 'channel'>> | Failure) => void,
  ): NativeHandle | Failure;
  spawn(
    flags: number,
    cgroup: NativeHandle | undefined,
    done: SpawnDone,
    stayMs?: number,
    /** What must be as it was, or it is ESTALE, and nothing is made. */
    looks?: NativeLooks,
    /** Written before the errand is left. */
    maps?: NativeMaps,
    /** The errand: left on the channel before there is an init. Each by itself, for names cost more than all else that is read. */
    letter?: NativeLetter,
    /**
     * Go with its first message. A number is the null device, opened anew with these flags of open(2), or -1: the end to write to of
     * a pipe that is made for it, two at most.
     */
    handles?: readonly (NativeHandle | number)[],
    /** Of which so much as the letter has room for goes into each of its places. */
    text?: string,
    /** By how many the init is to be followed, one after the other, where only the end of the last is to be waited for. */
    children?: number,
  ): NativeHandle | undefined | Failure;
  /**
   * The same by a zygote (op `fork_inits`), its channel and a pidfd of it, which is asked at once. What it refuses, and that it has
   * ended, `done` hears, and there is no init then; but ETIMEDOUT and EMFILE, after which there may have been one (`Processes.forkBy`).
   */
  spawnBy(
    zygote: NativeChannel,
    process: NativeHandle,
    cgroup: NativeHandle | undefined,
    done: SpawnDone,
    stayMs: number | undefined,
    children: number | undefined,
    letter: NativeLetter,
    handles: readonly (NativeHandle | number)[],
    text: string | undefined,
  ): Failure | undefined;
  /** The same, of one that is to wait at a sync point. Nobody hears of it, and what nobody holds any more ends. */
  spawnAhead(
    zygote: NativeChannel,
    process: NativeHandle,
    cgroup: NativeHandle | undefined,
    letter: NativeLetter,
    handles: readonly (NativeHandle | number)[],
    text: string | undefined,
  ): NativeAhead | Failure;
  /**
   * Lets it go on by a message, once; `done` hears what becomes of it, as with `spawnBy`. EPIPE: it has ended, or was asked for by who had other
   * ids or capabilities than we have now, and has done nothing.
   */
  letGo(
    ahead: NativeAhead,
    word: Uint8Array,
    done: SpawnDone,
    stayMs: number | undefined,
    children: number | undefined,
  ): void;
  /** Kills and collects it, where nobody has let it go. */
  endAhead(ahead: NativeAhead, done: () => void): void;
  /** Takes all processing of input and output from a terminal, also what Node's raw mode leaves. */
  rawTerminal(fd: number): Failure | undefined;
  /** A new descriptor for the file of one that somebody else owns. */
  duplicate(fd: number): NativeHandle | Failure;
  /** open(2) on the calling thread: for what cannot block, such as the null device. */
  openFile(path: string, flags: number): NativeHandle | Failure;
  /** A pipe; only our end is non-blocking. */
  pipe(oursReads: boolean): { readonly ours: NativeHandle; readonly theirs: NativeHandle } | Failure;
  /** Some of what there is in a pipe of ours, or an errno: 0 at its end, EAGAIN where there is nothing now. */
  readNow(end: NativeHandle): Uint8Array | number;
  /** The whole of a regular file, or one byte more than `most`, on a thread of the pool. ESPIPE: it is not a regular file. */
  readFile(path: string, most: number): Promise<Uint8Array | Failure>;
  /** Whether a path leads to a directory without a link on the way; asked on a thread of the pool. */
  isStraight(path: string): Promise<boolean>;
  /** Opens a regular file below a root for reading, on a thread of the pool. ENXIO: it is not a regular file. */
  openFileBelow(root: NativeHandle, path: string): Promise<NativeHandle | Failure> | Failure;
  /**
   * Opens what is at an absolute path of the cgroup v2 file system, on a thread of the pool; `flags` as in open(2). EXDEV: it
   * is not of that, or something is mounted on the way; ELOOP: a link is.
   */
  openCgroup(path: string, flags: number): Promise<NativeHandle | Failure>;
  /** flock(LOCK_EX | LOCK_NB): EAGAIN when it is taken. */
  lock(file: NativeHandle): Failure | undefined;
  /** pidfd_send_signal: ESRCH when the process is gone. */
  signal(process: NativeHandle, signal: number): Failure | undefined;
  /** A pidfd (pidfd_open). */
  openProcess(pid: number): NativeHandle | Failure;
  /** A socket (SOCK_SEQPACKET) that listens at a path of at most 107 bytes, with mode 0600; to accept on it blocks. */
  socketListen(path: string): NativeHandle | Failure;
  /**
   * A non-blocking connection of packets (SOCK_SEQPACKET) or of a stream (SOCK_STREAM) to a path of at most 107 bytes,
   * or to an abstract address, which begins with a NUL. EAGAIN: as many wait there as it takes.
   */
  socketConnect(packets: boolean, address: string): NativeHandle | Failure;
  /** Two connected sockets (SOCK_STREAM); only our end is non-blocking. */
  socketPair(packets: boolean): { readonly ours: NativeHandle; readonly theirs: NativeHandle } | Failure;
  /** How many bytes the socket took, at once; the handles, which stay the caller's, go with the first. */
  socketSend(socket: NativeHandle, bytes: Uint8Array, handles: readonly NativeHandle[]): number | Failure;
  /** A file of this content without a path, at its beginning, that nobody can change (a sealed memfd). */
  blob(content: Uint8Array): NativeHandle | Failure;
  /**
   * Loads an eBPF program (BPF_PROG_TYPE_CGROUP_DEVICE) and attaches it to a cgroup in the place of the one that was
   * attached before, on a thread of the pool. The detail of a failure is the command of bpf(2).
   */
  filterDevices(cgroup: NativeHandle, program: Uint8Array): Promise<Failure | undefined> | Failure;
  /**
   * What the file system of a directory knows of a project, in bytes. `enforced`: whether limits of projects hold there.
   * ENOSYS: it has no quotas, or the kernel is older than 5.14. The detail of a failure is the command of quotactl_fd(2).
   */
  projectQuota(
    directory: NativeHandle,
    project: number,
  ): { readonly enforced: boolean; readonly used: number; readonly limit: number } | Failure;
  /** How much there may be of a project; 0 is no limit. */
  limitProject(directory: NativeHandle, project: number, bytes: number): Failure | undefined;
  /** A directory, and all that will be made in it, belongs to a project. */
  setProject(directory: NativeHandle, project: number): Failure | undefined;
  /** Gives a file without a name (O_TMPFILE) one; EEXIST where it is taken. */
  linkFile(file: NativeHandle, path: string): Failure | undefined;
  /** Whether we have CAP_SYS_ADMIN over our mount namespace. */
  isPrivileged(): boolean;

  // The primitives of lib/unsafe.ts: the functions that the init runs, on the calling thread.
  fsmount(type: string, options: readonly string[], attributes: number): NativeHandle | Failure;
  cloneMount(root: NativeHandle | undefined, path: string, recursive: boolean): NativeHandle | Failure;
  mountAttributes(
    mount: NativeHandle,
    set: number,
    clear: number,
    propagation: number,
    recursive: boolean,
  ): Failure | undefined;
  attach(mount: NativeHandle, root: NativeHandle | undefined, path: string): Failure | undefined;
  umount(path: string, flags: number): Failure | undefined;
  propagation(flags: number, recursive: boolean): Failure | undefined;
  pivotRoot(root: NativeHandle): Failure | undefined;
  setns(namespace: NativeHandle, flags: number): Failure | undefined;
  unshare(flags: number): Failure | undefined;
  writeCgroup(directory: NativeHandle, file: string, value: Uint8Array): Failure | undefined;
  removeTree(directory: NativeHandle, path: string): Failure | undefined;
  /** What the init would say of a program; undefined when it is well formed. */
  verifyProgram(program: Uint8Array): { readonly op: number; readonly reason: string } | undefined;
}

/** The directory of our package.json: this file lies at different depths in the sources and in what is published. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const above = dirname(directory);
    if (above === directory) throw new RuntsError('ERR_INTERNAL', 'the package of runts has no package.json');
    directory = above;
  }
  return directory;
}

function load(): Native {
  const file = join(packageRoot(), 'build', 'Release', 'runts.node');
  try {
    return createRequire(import.meta.url)(file) as Native;
  } catch (error) {
    const missing = !existsSync(file);
    throw new RuntsError('ERR_UNSUPPORTED', `cannot load the native part of runts: ${file}`, {
      hint: missing
        ? 'It was not built. Run `npm rebuild runts` (in a checkout: `npx node-gyp rebuild`); it needs a C++17 compiler, make and Python, on Linux.'
        : 'It was built for another platform or libc. Run `npm rebuild runts`.',
      cause: error,
    });
  }
}

/** The addon, loaded for this thread. */
export const native: Native = load();
