import { systemError } from '../node/failure.ts';
import type { Failure } from '../node/native.ts';

/** A number, a string that ends with a NUL, or the address of bytes. */
type Word = number | bigint | string | Uint8Array;

type CallName =
  | 'bind'
  | 'capget'
  | 'close'
  | 'connect'
  | 'faccessat'
  | 'fchmod'
  | 'fchownat'
  | 'fcntl'
  | 'flock'
  | 'fstatfs'
  | 'getcwd'
  | 'getdents64'
  | 'getegid'
  | 'geteuid'
  | 'getpid'
  | 'getrandom'
  | 'inotify_add_watch'
  | 'inotify_init1'
  | 'ioctl'
  | 'kill'
  | 'linkat'
  | 'listen'
  | 'memfd_create'
  | 'mkdirat'
  | 'mount_setattr'
  | 'open_tree'
  | 'openat'
  | 'openat2'
  | 'pidfd_open'
  | 'pidfd_send_signal'
  | 'pipe2'
  | 'ppoll'
  | 'read'
  | 'readlinkat'
  | 'renameat2'
  | 'rt_sigprocmask'
  | 'setsockopt'
  | 'signalfd4'
  | 'socket'
  | 'socketpair'
  | 'statx'
  | 'umask'
  | 'uname'
  | 'unlinkat'
  | 'waitid'
  | 'pwrite64'
  | 'write';

/** What native/tiny gives to the engine. Every call gives its result or -errno, and trusts its arguments. */
interface System {
  readonly call: Readonly<Record<CallName, (...words: Word[]) => number>>;
  /** How many bytes the socket took, or -errno. */
  readonly send: (socket: number, bytes: Uint8Array, descriptors: readonly number[]) => number;
  readonly receive: (
    socket: number,
    into: Uint8Array,
  ) => number | { readonly size: number; readonly descriptors: readonly number[]; readonly cut: number };
  /** A new init: its pid, pidfd and channel. */
  readonly spawn: (flags: number, cgroup: number) => readonly [number, number, number] | Failure;
  /** The pid of a program in a session of its own, or -errno. */
  readonly start: (
    file: string,
    argv: readonly string[],
    environment: readonly string[],
    directory: string,
    descriptors: readonly number[],
  ) => number;
  /** Another program in our place, with the variable `mark` set; comes back with -errno only. */
  readonly become: (file: string, argv: readonly string[], mark: string) => number;
  readonly filterDevices: (cgroup: number, program: Uint8Array) => Failure | undefined;
  readonly text: (bytes: Uint8Array, length: number) => string;
  readonly utf8: (text: string) => ArrayBuffer;
  readonly isUtf8: (bytes: Uint8Array) => boolean;
  /** Milliseconds that no change of the clock moves. */
  readonly now: () => number;
  /**
   * A document of JSON as `parseJson` of lib/spec/json.ts reads it; undefined where it is not so ordinary that this
   * reader is sure of it.
   */
  readonly parseJson: (text: string) => unknown;
  /** Whether a member of an object in it is null. */
  readonly hasNulls: (value: unknown) => boolean;
  /** Whether there is neither a NUL in it nor half of a surrogate pair. */
  readonly isKernelText: (text: string) => boolean;
  /** Does what promises have left to do. */
  readonly jobs: () => void;
  readonly argv: readonly string[];
  readonly environment: readonly string[];
  readonly arch: 'x64' | 'arm64';
}

declare const runtsSystem: System;
export const system: System = runtsSystem;
export const { call } = system;

/** The result of a system call; a refusal is thrown as node:fs has it. */
export function must(result: number, name: string, path = ''): number {
  if (result < 0) throw systemError(-result, name, path);
  return result;
}

/** Numbers of the kernel's interface, the same on x64 and arm64 but where `arch` says otherwise. */
export const at = {
  cwd: -100,
  noFollow: 0x100,
  removeDirectory: 0x200,
  follow: 0x400,
  emptyPath: 0x1000,
};
const arm = system.arch === 'arm64';
export const o = {
  readonly: 0,
  writeonly: 1,
  readwrite: 2,
  create: 0o100,
  exclusive: 0o200,
  append: 0o2000,
  nonblock: 0o4000,
  directory: arm ? 0o40000 : 0o200000,
  noFollow: arm ? 0o100000 : 0o400000,
  closeOnExec: 0o2000000,
  path: 0o10000000,
  unnamed: 0o20000000 | (arm ? 0o40000 : 0o200000),
} as const;
export const errno = { again: 11, intr: 4, noent: 2, inval: 22, pipe: 32, io: 5, nosys: 38, connreset: 104 } as const;

export const textOf = (bytes: Uint8Array, length = bytes.length): string => system.text(bytes, length);
export const bytesOf = (text: string): Uint8Array => new Uint8Array(system.utf8(text));

/** A variable of our environment. */
export function variable(name: string): string | undefined {
  const beginning = `${name}=`;
  return system.environment.find((each) => each.startsWith(beginning))?.slice(beginning.length);
}

export interface Stat {
  readonly mode: number;
  readonly uid: number;
  readonly size: number;
  readonly inode: string;
  readonly device: { readonly major: number; readonly minor: number };
}

const fileTypes = 0o170000;
export const types = {
  directory: 0o040000,
  file: 0o100000,
  character: 0o020000,
  block: 0o060000,
  socket: 0o140000,
} as const;
export const isType = (stat: Stat, type: number): boolean => (stat.mode & fileTypes) === type;

/** Where everybody reads to, a message of the longest kind too: nobody has anything in it while they wait. */
export const scratch = new Uint8Array(64 * 1024);

const statx = new DataView(new ArrayBuffer(256));
const statxBytes = new Uint8Array(statx.buffer);
const word = (offset: number): number => statx.getUint32(offset, true);

/** `struct statx`, or -errno. */
export function stat(path: string, flags = 0, directory = at.cwd): Stat | number {
  const result = call.statx(directory, path, flags, 0x7ff, statxBytes);
  if (result < 0) return result;
  return {
    mode: statx.getUint16(28, true),
    uid: word(20),
    size: word(40) + word(44) * 2 ** 32,
    inode: `${word(32)},${word(36)},${word(136)},${word(140)}`,
    device: { major: word(128), minor: word(132) },
  };
}
export const statOf = (fd: number): Stat | number => stat('', at.emptyPath, fd);
