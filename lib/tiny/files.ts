import type { Files } from '../host/host.ts';
import { systemError } from '../node/failure.ts';
import { namesIn, readBytesMax, readWhole, strictText, writeOnce, writeWhole } from './content.ts';
import { openFile, withFile } from './handle.ts';
import { newHandle, openAt } from './native.ts';
import { at, call, errno, isType, must, o, type Stat, scratch, stat, statOf, textOf, types } from './system.ts';
import { FileWatch } from './watch.ts';

const linkBytesMax = 4096;
/** ENOENT, ENOTDIR: what a path that leads nowhere is refused with. */
const nowhere = [errno.noent, 20];
/** And one that leads to something that is no file, or in a circle: EISDIR, ENXIO, ELOOP. */
const noFile = [...nowhere, 21, 6, 40];

export const openFlags = { path: o.path, read: o.readonly, directory: o.readonly | o.directory } as const;

/** The port `Files`. The calls do not leave the thread: what they wait for is the kernel. */
export const files: Files = {
  read: async (path, how) =>
    // A fifo without a writer would block.
    withFile(openFile(path, o.readonly | o.nonblock), async (fd) => {
      const bytes = await readWhole(fd, readBytesMax, path);
      return how === 'strict' ? strictText(bytes, path) : textOf(bytes);
    }),

  readBelow: async (root, path, maxBytes) =>
    withFile(openFile(root, openFlags.directory), async (directory) => {
      const file = openBelow(directory, path);
      if (noFile.includes(-file)) return undefined;
      return withFile(newHandle(must(file, 'open', `${root}/${path}`)), async (fd) =>
        textOf(await readWhole(fd, maxBytes, path)),
      );
    }),

  async isStraight(path) {
    const fd = openBy(at.cwd, path, o.path | o.directory, withoutLinks);
    if (fd < 0) return false;
    call.close(fd);
    return true;
  },

  async readLink(path) {
    const n = call.readlinkat(at.cwd, path, scratch, linkBytesMax);
    return [...nowhere, errno.inval].includes(-n) ? undefined : textOf(scratch, must(n, 'readlink', path));
  },

  write: async (path, text) => withFile(openFile(path, o.writeonly), (fd) => writeOnce(fd, text, path)),

  /**
   * Whole or not at all for whoever looks, and after our own end. It is not written to the disk on the way, as other
   * runtimes do not: it is the state of containers, which the end of the machine ends.
   */
  async replace(path, text, mode = 0o600) {
    const isThere = there(stat(path, at.noFollow), 'lstat', path) !== undefined;
    if (isThere || !(await makeWhole(path, text, mode))) await exchange(path, text, mode);
  },

  list: async (path) => withFile(openFile(path, openFlags.directory), (fd) => namesIn(fd, path)),

  kind: async (path) => kindOf(there(stat(path), 'stat', path)),
  canWrite: async (path) => call.faccessat(at.cwd, path, 2) === 0,

  async isPrivate(path) {
    const ours = call.geteuid();
    const entry = mustStat(stat(path, at.noFollow), path);
    const directory = mustStat(stat(path), path);
    const owned = entry.uid === ours && directory.uid === ours;
    return owned && isType(directory, types.directory) && (directory.mode & 0o022) === 0;
  },

  makeDirectory: async (path, mode) => void must(call.mkdirat(at.cwd, path, mode), 'mkdir', path),
  removeDirectory: async (path) => void must(call.unlinkat(at.cwd, path, at.removeDirectory), 'rmdir', path),
  removeFile: async (path) => void must(call.unlinkat(at.cwd, path, 0), 'unlink', path),
  open: async (path, how) => openFile(path, openFlags[how]),

  async lock(path) {
    const file = openFile(path, o.readwrite | o.create | o.noFollow, 0o600);
    const refused = call.flock(file.fd, 2 | 4); // LOCK_EX | LOCK_NB
    if (refused < 0) file.close();
    must(refused, 'flock', path);
    return file;
  },

  append: async (path, text) => appendTo(path, text),
  setOwner: async (path, uid, gid) => void must(call.fchownat(at.cwd, path, uid, gid, at.noFollow), 'lchown', path),
  watch: async (path) => new FileWatch(path),

  async device(path) {
    const found = there(stat(path), 'stat', path);
    if (found === undefined) return undefined;
    const type = isType(found, types.block) ? 'b' : isType(found, types.character) ? 'c' : undefined;
    return type === undefined ? undefined : { type, ...found.device };
  },
};

export function appendTo(path: string, text: string): void {
  const file = openFile(path, o.writeonly | o.create | o.append, 0o644);
  try {
    writeWhole(file.fd, text, path);
  } finally {
    file.close();
  }
}

export const kindOf = (found: Stat | undefined): 'directory' | 'file' | 'other' | undefined =>
  found && (isType(found, types.directory) ? 'directory' : isType(found, types.file) ? 'file' : 'other');

/** Undefined where the path leads nowhere. */
function there(found: Stat | number, name: string, path: string): Stat | undefined {
  if (typeof found !== 'number') return found;
  if (nowhere.includes(-found)) return undefined;
  throw systemError(-found, name, path);
}

export function mustStat(found: Stat | number, path: string): Stat {
  if (typeof found === 'number') throw systemError(-found, 'stat', path);
  return found;
}

export const directoryOf = (path: string): string =>
  path.slice(0, path.lastIndexOf('/')) || (path[0] === '/' ? '/' : '.');

/** openat2(2): a descriptor, or -errno. */
export function openBy(from: number, path: string, flags: number, resolve: number): number {
  const how = new Uint8Array(24); // struct open_how
  const fields = new DataView(how.buffer);
  fields.setUint32(0, flags | o.closeOnExec, true);
  fields.setUint32(16, resolve, true);
  return call.openat2(from, path, how, how.length);
}

/** RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS */
const inRoot = 0x10 | 0x2;
/** RESOLVE_NO_SYMLINKS */
const withoutLinks = 0x4;

/**
 * A regular file below a root, or -errno. It is looked at before it is opened: to open a device does things, and to open
 * a fifo waits.
 */
function openBelow(root: number, path: string): number {
  const fd = openBy(root, path, o.path, inRoot);
  if (fd < 0) return fd;
  const file = newHandle(fd);
  try {
    const found = statOf(fd);
    if (typeof found === 'number') return found;
    if (!isType(found, types.file)) return isType(found, types.directory) ? -21 : -6;
    const opened = openAt(`/proc/self/fd/${fd}`, o.readonly | o.nonblock);
    return typeof opened === 'number' ? opened : opened.release();
  } finally {
    file.close();
  }
}

/**
 * Makes a file where there is none. It has no name before it is whole (O_TMPFILE): whoever is killed meanwhile leaves
 * nothing. False where the name is taken, or that cannot be done here.
 */
async function makeWhole(path: string, text: string, mode: number): Promise<boolean> {
  const file = openAt(directoryOf(path), o.unnamed | o.writeonly, mode);
  if (typeof file === 'number') return false;
  return withFile(file, (fd) => {
    writeWhole(fd, text, path);
    return call.linkat(at.cwd, `/proc/self/fd/${fd}`, at.cwd, path, at.follow) === 0;
  });
}

const renameExchange = 2; // RENAME_EXCHANGE

/**
 * In the place of another, which is there until the rename. That is removed by itself: of a file that takes another's place ext4
 * takes care that it is on the disk before, and then has blocks to free at its end.
 */
async function exchange(path: string, text: string, mode: number): Promise<void> {
  const suffix = new Uint8Array(6);
  call.getrandom(suffix, suffix.length, 0);
  const temporary = `${path}.${[...suffix].map((byte) => byte.toString(16).padStart(2, '0')).join('')}.tmp`;
  const file = openFile(temporary, o.writeonly | o.create | o.exclusive, mode);
  try {
    await withFile(file, (fd) => {
      writeWhole(fd, text, temporary);
    });
    if (call.renameat2(at.cwd, temporary, at.cwd, path, renameExchange) === 0) call.unlinkat(at.cwd, temporary, 0);
    // Not every file system can (NFS).
    else must(call.renameat2(at.cwd, temporary, at.cwd, path, 0), 'rename', path);
  } catch (error) {
    call.unlinkat(at.cwd, temporary, 0);
    throw error;
  }
}
