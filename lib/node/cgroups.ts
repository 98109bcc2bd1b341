import { constants, promises as fs, write } from 'node:fs';
import { promisify } from 'node:util';
import type { CgroupFiles } from '../host/host.ts';
import { orThrow, systemError } from './failure.ts';
import { openFlags, readWhole, unless } from './files.ts';
import { type NativeHandle, native } from './native.ts';
import { watch } from './watch.ts';

const readBytesMax = 16 * 1024 * 1024;
const writeAsync = promisify(write);

/**
 * The port `CgroupFiles`. A path is opened once, by the kernel's rules for what may be on the way (native/addon/cgroups.cc),
 * and everything is done to what that found.
 */
export const cgroups: CgroupFiles = {
  read: (path) => opened(path, openFlags.read, async ({ fd }) => (await readWhole(fd, readBytesMax, path)).toString()),

  write: (path, text) =>
    opened(path, constants.O_WRONLY, async ({ fd }) => {
      const bytes = Buffer.from(text);
      const { bytesWritten } = await named(path, writeAsync(fd, bytes));
      if (bytesWritten !== bytes.length) throw systemError(5, 'write', path);
    }),

  list: (path) => opened(path, openFlags.directory, (directory) => named(path, fs.readdir(of(directory)))),

  async kind(path) {
    const file = await unless(['ENOENT', 'ENOTDIR'], open(path, openFlags.path));
    if (file === undefined) return undefined;
    try {
      const stat = await fs.stat(of(file));
      return stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : 'other';
    } finally {
      file.close();
    }
  },

  makeDirectory: (path, mode) => inParent(path, (entry) => fs.mkdir(entry, { mode })),
  removeDirectory: (path) => inParent(path, (entry) => fs.rmdir(entry)),
  open: (path, how) => open(path, openFlags[how]),
  // Of what a descriptor of that kind is for, which lchown would take for the link that it is listed as.
  setOwner: (path, uid, gid) => opened(path, openFlags.path, (file) => named(path, fs.chown(of(file), uid, gid))),
  watch: (path) => opened(path, openFlags.path, async (file) => watch(of(file))),
};

const open = async (path: string, flags: number): Promise<NativeHandle> =>
  orThrow(await native.openCgroup(path, flags), path);

async function opened<T>(path: string, flags: number, work: (file: NativeHandle) => Promise<T>): Promise<T> {
  const file = await open(path, flags);
  try {
    return await work(file);
  } finally {
    file.close();
  }
}

/** An entry of a directory is made and removed by its last name, which no link is followed for. */
function inParent(path: string, work: (entry: string) => Promise<unknown>): Promise<void> {
  const slash = path.lastIndexOf('/');
  const name = path.slice(slash + 1);
  if (name === '' || name === '.' || name === '..') return Promise.reject(systemError(22, 'open', path));
  return opened(path.slice(0, slash) || '/', openFlags.path | constants.O_DIRECTORY, async (directory) => {
    await named(path, work(`${of(directory)}/${name}`));
  });
}

/** A file by its descriptor, in the procfs that is Node's own. */
const of = ({ fd }: NativeHandle): string => `/proc/self/fd/${fd}`;

/** What the kernel refuses names the path that was meant. */
async function named<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { errno, syscall } = error as NodeJS.ErrnoException;
    if (errno === undefined) throw error;
    throw systemError(-errno, syscall ?? 'open', path);
  }
}
