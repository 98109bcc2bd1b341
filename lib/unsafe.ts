/**
 * The system's primitives one by one: the very functions that the init of a container runs. They are for tests, tools
 * and people who know. Except for `clone`, each is synchronous and **affects the calling thread or process of Node**: a
 * namespace that a thread enters it stays in, and the other threads do not follow. They refuse with ERR_SETUP.
 */
import { closeSync, openSync } from 'node:fs';
import type { Handle, Session } from './host/host.ts';
import { aHandle, aText, aTruth, bytes, checkArguments, flags, optional, texts } from './node/arguments.ts';
import { isFailure, setupError } from './node/failure.ts';
import { openHandle } from './node/handle.ts';
import { type Failure, type NativeHandle, native } from './node/native.ts';
import { spawnInit } from './node/processes.ts';

export type { Exit, Handle, Message, Session } from './host/host.ts';

export interface CloneOptions {
  /** CLONE_NEW* bits. */
  readonly flags: number;
  /** A directory of cgroup v2 that the process is born in (CLONE_INTO_CGROUP). */
  readonly cgroup?: Handle;
}

/** A new process in new namespaces: an init of runts, which waits on its channel for a program. */
export async function clone(options: CloneOptions): Promise<Session> {
  checkArguments('clone', options, { flags, cgroup: optional(aHandle) });
  return granted(await spawnInit(options), 'spawn', 'start a process in new namespaces');
}

/**
 * Opens a path as a handle for the functions below: O_PATH and close-on-exec, or with other flags of open(2). On this
 * thread, for it may be in another mount namespace than those of the pool, which node:fs uses.
 */
export function open(path: string, openFlags = 0o10000000): Handle {
  checkArguments('open', { path, openFlags }, { path: aText, openFlags: flags });
  const fd = openSync(path, openFlags);
  try {
    return granted(native.duplicate(fd), 'open', `open ${path}`);
  } finally {
    closeSync(fd);
  }
}

interface Mounted {
  /** MOUNT_ATTR_* bits. */
  readonly attributes?: number;
  /** Where to; a path of the host, or inside `root`, where the mount point is made when it is missing. */
  readonly target: string;
  /** A directory that `target` is resolved in: no link leads out of it. */
  readonly root?: Handle;
}

export interface NewMount extends Mounted {
  readonly type: string;
  /** `key` or `key=value`, as in mount(8). */
  readonly options?: readonly string[];
}

export interface BindMount extends Mounted {
  /** A path of the host. */
  readonly bind: string;
  /** Whether the mounts below come with it. */
  readonly recursive?: boolean;
}

/** Mounts a new file system, or a part of the tree a second time. The mount has its attributes before it can be seen. */
export function mount(options: NewMount | BindMount): void {
  const common = { attributes: optional(flags), target: aText, root: optional(aHandle) };
  if (options !== null && typeof options === 'object' && 'bind' in options) {
    checkArguments('mount', options, { ...common, bind: aText, recursive: optional(aTruth) });
  } else checkArguments('mount', options, { ...common, type: aText, options: optional(texts) });

  const { target, attributes = 0 } = options;
  const detached = 'bind' in options ? bind(options, attributes) : create(options, attributes);
  try {
    const root = options.root === undefined ? undefined : openHandle(options.root);
    granted(native.attach(detached, root, target), 'attach', `mount on ${target}`);
  } finally {
    detached.close();
  }
}

function create({ type, options = [], target }: NewMount, attributes: number): NativeHandle {
  return granted(native.fsmount(type, options, attributes), 'fsmount', `mount ${type} on ${target}`);
}

function bind({ bind: source, recursive = false }: BindMount, attributes: number): NativeHandle {
  const clone = granted(native.cloneMount(undefined, source, recursive), 'clone_mount', `bind ${source}`);
  try {
    if (attributes !== 0) {
      const changed = native.mountAttributes(clone, attributes, 0, 0, recursive);
      granted(changed, 'mount_attributes', `set the attributes of the mount of ${source}`);
    }
    return clone;
  } catch (error) {
    clone.close();
    throw error;
  }
}

/** Takes away the topmost mount at a path of the host: umount2(2), with MNT_* and UMOUNT_* flags. */
export function umount(target: string, umountFlags = 0): void {
  checkArguments('umount', { target, umountFlags }, { target: aText, umountFlags: flags });
  granted(native.umount(target, umountFlags), 'umount', `unmount ${target}`);
}

/** Sets the propagation of the mount at `/` (MS_PRIVATE, MS_SLAVE …), or of every mount of the mount namespace. */
export function setPropagation(
  propagation: number,
  { recursive = false }: { readonly recursive?: boolean } = {},
): void {
  checkArguments('setPropagation', { propagation, recursive }, { propagation: flags, recursive: aTruth });
  granted(native.propagation(propagation, recursive), 'propagation', 'set the propagation of mounts');
}

/** Makes a mount, which is attached somewhere, the root of the mount namespace, and lets go of the old root. */
export function pivotRoot(root: Handle): void {
  checkArguments('pivotRoot', { root }, { root: aHandle });
  granted(native.pivotRoot(openHandle(root)), 'pivot', 'change the root');
}

/** Enters a namespace; `type` (CLONE_NEW*) insists on its kind. A process with threads cannot enter a user namespace. */
export function setns(namespace: Handle, type = 0): void {
  checkArguments('setns', { namespace, type }, { namespace: aHandle, type: flags });
  granted(native.setns(openHandle(namespace), type), 'join', 'enter the namespace');
}

/** Leaves namespaces for new ones: CLONE_NEW* bits. */
export function unshare(namespaces: number): void {
  checkArguments('unshare', { namespaces }, { namespaces: flags });
  granted(native.unshare(namespaces), 'unshare', 'make new namespaces');
}

/** One write(2) to a control file of a directory of cgroup v2. */
export function writeCgroup(directory: Handle, file: string, value: string): void {
  checkArguments('writeCgroup', { directory, file, value }, { directory: aHandle, file: aText, value: aText });
  const result = native.writeCgroup(openHandle(directory), file, new TextEncoder().encode(value));
  granted(result, 'cgroup', `write ${JSON.stringify(value)} to ${file}`);
}

/** Removes an entry below a directory and everything in it; follows no link and stays on the file system. */
export function removeTree(directory: Handle, path: string): void {
  checkArguments('removeTree', { directory, path }, { directory: aHandle, path: aText });
  granted(native.removeTree(openHandle(directory), path), 'remove_tree', `remove ${path}`);
}

export interface Refusal {
  /** The op it is about; the number of ops when it is about none. */
  readonly op: number;
  readonly reason: string;
}

/** What the init would say of an encoded program: nothing when it is well formed. */
export function verifyProgram(program: Uint8Array): Refusal | undefined {
  checkArguments('verifyProgram', { program }, { program: bytes });
  return native.verifyProgram(program);
}

function granted<T>(result: T | Failure, op: string, doing: string): T {
  if (isFailure(result)) throw setupError(result, op, doing);
  return result;
}
