import { randomBytes } from 'node:crypto';
import { constants, promises as fs, fstat, read } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { RuntsError } from '../errors.ts';
import type { Files } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { isFailure, orThrow, systemError } from './failure.ts';
import { openFile } from './handle.ts';
import { lock } from './lock.ts';
import { native } from './native.ts';
import { watch } from './watch.ts';

const readBytesMax = 16 * 1024 * 1024;

/** What a path that leads nowhere is refused with. */
const nowhere = ['ENOENT', 'ENOTDIR'];
/** And one that leads to something that is no file, or in a circle. */
const noFile = [...nowhere, 'EISDIR', 'ENXIO', 'ELOOP'];

/** open(2)'s flags for what the port is asked for. */
export const openFlags = {
  // O_PATH is no constant of Node's.
  path: 0o10000000,
  read: constants.O_RDONLY,
  directory: constants.O_RDONLY | constants.O_DIRECTORY,
} as const;

/** The port `Files` over node:fs. What the kernel refuses rejects with Node's own errors: `code` is the errno's name. */
export const files: Files = {
  async read(path, how) {
    const bytes = await readRegular(path);
    return how === 'strict' ? strictText(bytes, path) : lenient.decode(bytes);
  },

  async readBelow(root, path, maxBytes) {
    const directory = await openFile(root, openFlags.directory);
    try {
      const file = await native.openFileBelow(directory, path);
      if (isFailure(file)) {
        if (noFile.includes(systemError(file.errno, '').code)) return undefined;
        return orThrow<never>(file, `${root}/${path}`);
      }
      try {
        return (await readWhole(file.fd, maxBytes, path)).toString();
      } finally {
        file.close();
      }
    } finally {
      directory.close();
    }
  },

  isStraight: async (path) => !path.includes('\0') && native.isStraight(path),
  readLink: (path) => unless([...nowhere, 'EINVAL'], fs.readlink(path)),

  async write(path, text) {
    const file = await fs.open(path, constants.O_WRONLY);
    try {
      const bytes = Buffer.from(text);
      const { bytesWritten } = await file.write(bytes);
      if (bytesWritten !== bytes.length) throw systemError(5, 'write', path);
    } finally {
      await file.close();
    }
  },

  async replace(path, text, mode = 0o600) {
    const isThere = (await unless(nowhere, fs.lstat(path))) !== undefined;
    if (isThere || !(await makeWhole(path, text, mode))) await exchange(path, text, mode);
    await syncDirectory(dirname(path));
  },

  list: (path) => fs.readdir(path),

  async kind(path) {
    const stat = await unless(nowhere, fs.stat(path));
    if (stat === undefined) return undefined;
    return stat.isDirectory() ? 'directory' : stat.isFile() ? 'file' : 'other';
  },

  canWrite: (path) =>
    fs.access(path, constants.W_OK).then(
      () => true,
      () => false,
    ),

  async isPrivate(path) {
    const ours = process.geteuid?.();
    const [entry, directory] = await Promise.all([fs.lstat(path), fs.stat(path)]);
    return entry.uid === ours && directory.isDirectory() && directory.uid === ours && (directory.mode & 0o022) === 0;
  },

  async makeDirectory(path, mode) {
    await fs.mkdir(path, { mode });
  },
  removeDirectory: (path) => fs.rmdir(path),
  removeFile: (path) => fs.unlink(path),
  open: (path, how) => openFile(path, openFlags[how]),
  lock,
  append: (path, text) => fs.appendFile(path, text, { mode: 0o644 }),
  setOwner: (path, uid, gid) => fs.lchown(path, uid, gid),
  watch: async (path) => watch(path),

  async device(path) {
    const stat = await unless(nowhere, fs.stat(path, { bigint: true }));
    if (stat === undefined || !(stat.isCharacterDevice() || stat.isBlockDevice())) return undefined;
    return { type: stat.isBlockDevice() ? 'b' : 'c', ...numbersOf(stat.rdev) };
  },
};

const lenient = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/** In one turn to the pool, where it is an ordinary file. */
async function readRegular(path: string): Promise<Uint8Array> {
  const bytes = path.includes('\0') ? undefined : await native.readFile(path, readBytesMax);
  if (bytes === undefined || (isFailure(bytes) && bytes.errno === notRegular)) return readAny(path);
  const { length } = orThrow(bytes, path);
  if (length > readBytesMax) throw tooLarge(path, readBytesMax);
  return bytes as Uint8Array;
}

const notRegular = errnoNumber('ESPIPE');

async function readAny(path: string): Promise<Uint8Array> {
  // A fifo without a writer would block, and with it a thread of the pool until the process ends.
  const file = await fs.open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return await readWhole(file.fd, readBytesMax, path);
  } finally {
    await file.close();
  }
}

/** The two numbers of a device as glibc packs them (makedev(3)): each has its low bits low and its high bits high. */
const numbersOf = (rdev: bigint) => ({
  major: Number(((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n)),
  minor: Number((rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n)),
});

const readAsync = promisify(read);
const statAsync = promisify(fstat);

/** To the end, wherever that is: files of procfs have no size. One byte more than allowed tells that there is more. */
export async function readWhole(fd: number, maxBytes: number, path: string): Promise<Buffer> {
  const { size } = await statAsync(fd);
  const chunks: Buffer[] = [];
  let total = 0;
  for (;;) {
    const room = Math.min(maxBytes + 1 - total, Math.max(size + 1 - total, 16 * 1024));
    const { bytesRead, buffer } = await readSome(fd, room, path);
    if (bytesRead === 0) return Buffer.concat(chunks);
    chunks.push(buffer.subarray(0, bytesRead));
    total += bytesRead;
    if (total > maxBytes) throw tooLarge(path, maxBytes);
  }
}

const tooLarge = (path: string, maxBytes: number) =>
  new RuntsError('ERR_UNSUPPORTED', `${path} is larger than the ${maxBytes} bytes that are read of it`);

/** How long a pipe may say nothing, and how often it is asked. */
const pipe = { patienceMs: 3000, pauseMs: 10 } as const;

async function readSome(fd: number, room: number, path: string): Promise<{ bytesRead: number; buffer: Buffer }> {
  for (let waitedMs = 0; ; waitedMs += pipe.pauseMs) {
    try {
      return await readAsync(fd, Buffer.allocUnsafe(room), 0, room, null);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      if (waitedMs >= pipe.patienceMs) {
        throw new RuntsError('ERR_TIMEOUT', `${path} is a pipe or a terminal, and nothing came from it`, {
          cause: error,
        });
      }
    }
    await sleep(pipe.pauseMs);
  }
}

/** Every character as it was meant, or none: a byte order mark stays, for the reader to refuse. */
function strictText(bytes: Uint8Array, path: string): string {
  try {
    return strict.decode(bytes);
  } catch (error) {
    throw new RuntsError('ERR_SPEC', `${path} is not UTF-8`, {
      hint: 'JSON is UTF-8: write it again in that encoding.',
      cause: error,
    });
  }
}

// No constant of Node's.
const unnamed = 0o20000000 | constants.O_DIRECTORY;

/**
 * Makes a file where there is none. It has no name before it is whole (O_TMPFILE): whoever is killed meanwhile leaves nothing.
 * False where the name is taken, or that cannot be done here.
 */
async function makeWhole(path: string, text: string, mode: number): Promise<boolean> {
  const file = await fs.open(dirname(path), unnamed | constants.O_WRONLY, mode).catch(() => undefined);
  if (file === undefined) return false;
  return fill(file, text, () => {
    const handle = orThrow(native.duplicate(file.fd), path);
    const refused = native.linkFile(handle, path);
    handle.close();
    return refused === undefined;
  });
}

/** In the place of another, which is there until the rename. */
async function exchange(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  const file = await fs.open(temporary, 'wx', mode);
  try {
    await fill(file, text);
    await fs.rename(temporary, path);
  } catch (error) {
    await fs.unlink(temporary).catch(() => undefined);
    throw error;
  }
}

/** Writes what a file is to hold, to the disk, and closes it; what is done before that has its result given back. */
async function fill(file: fs.FileHandle, text: string, then: () => boolean = () => true): Promise<boolean> {
  try {
    await file.writeFile(text);
    await file.sync();
    return then();
  } finally {
    await file.close();
  }
}

/** So that a rename is there after a power cut. Some file systems cannot, and then there is nothing better. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await fs.open(path, 'r');
  await directory.sync().catch(() => undefined);
  await directory.close();
}

/** Undefined where the work fails with one of these errnos. */
export async function unless<T>(codes: readonly string[], work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (codes.includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
