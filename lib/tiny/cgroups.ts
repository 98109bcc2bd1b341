import type { CgroupFiles } from '../host/host.ts';
import { systemError } from '../node/failure.ts';
import { namesIn, readBytesMax, readWhole, writeOnce } from './content.ts';
import { kindOf, mustStat, openBy, openFlags } from './files.ts';
import { withFile } from './handle.ts';
import { type NativeHandle, newHandle } from './native.ts';
import { at, call, errno, must, o, statOf, textOf } from './system.ts';
import { FileWatch } from './watch.ts';

/** RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS, and below the mount RESOLVE_BENEATH and RESOLVE_NO_XDEV. */
const noLinks = 0x4 | 0x2;
const sameMount = noLinks | 0x8 | 0x1;
const crossing = 18; // EXDEV
const magic = 0x6367_7270; // CGROUP2_SUPER_MAGIC

/**
 * The port `CgroupFiles`: a path is opened once, by the rules of native/addon/cgroups.cc, and everything is done to what
 * that found.
 */
export const cgroups: CgroupFiles = {
  read: async (path) =>
    withFile(open(path, openFlags.read), async (fd) => textOf(await readWhole(fd, readBytesMax, path))),
  write: async (path, text) => withFile(open(path, o.writeonly), (fd) => writeOnce(fd, text, path)),
  list: async (path) => withFile(open(path, openFlags.directory), (fd) => namesIn(fd, path)),

  async kind(path) {
    const fd = find(path, o.path);
    if (fd === -errno.noent || fd === -20) return undefined;
    return withFile(newHandle(must(fd, 'openat2', path)), (found) => kindOf(mustStat(statOf(found), path)));
  },

  makeDirectory: (path, mode) => inParent(path, (above, name) => must(call.mkdirat(above, name, mode), 'mkdir', path)),
  removeDirectory: (path) =>
    inParent(path, (above, name) => must(call.unlinkat(above, name, at.removeDirectory), 'rmdir', path)),
  open: async (path, how) => open(path, openFlags[how]),
  setOwner: async (path, uid, gid) =>
    withFile(open(path, o.path), (fd) => void must(call.fchownat(fd, '', uid, gid, at.emptyPath), 'chown', path)),
  watch: async (path) => withFile(open(path, o.path), (fd) => new FileWatch(`/proc/self/fd/${fd}`)),
};

const open = (path: string, flags: number): NativeHandle => newHandle(must(find(path, flags), 'openat2', path));

/**
 * What is at an absolute path of the cgroup v2 file system, which begins at the first directory on the way that is of it:
 * the mount. From there on nothing leads away, no link and nothing that was mounted.
 */
function find(path: string, flags: number): number {
  if (path[0] !== '/' || /\/\.{1,2}(\/|$)/.test(path)) return -errno.inval;
  for (let slash = path.indexOf('/', 1); ; slash = path.indexOf('/', slash + 1)) {
    const whole = slash < 0;
    const base = openBy(at.cwd, whole ? path : path.slice(0, slash), o.path, noLinks);
    if (base < 0) return base;
    const handle = newHandle(base);
    try {
      if (isCgroup2(base)) return openBy(base, (whole ? '' : path.slice(slash + 1)) || '.', flags, sameMount);
    } finally {
      handle.close();
    }
    if (whole) return -crossing;
  }
}

function isCgroup2(fd: number): boolean {
  const bytes = new Uint8Array(120);
  return call.fstatfs(fd, bytes) === 0 && new DataView(bytes.buffer).getUint32(0, true) === magic;
}

/** An entry of a directory is made and removed by its last name, which no link is followed for. */
async function inParent(path: string, work: (above: number, name: string) => unknown): Promise<void> {
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  if (name === '' || name === '.' || name === '..') throw systemError(errno.inval, 'open', path);
  await withFile(open(path.slice(0, slash) || '/', o.path | o.directory), (fd) => void work(fd, name));
}
