import { constants, type Stats } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RuntsError } from '../errors.ts';
import { chunkBytes } from '../layers/chunk-pool.ts';
import { compressionOf, magicBytes, uncompressed } from '../layers/decompress.ts';
import { Refused } from '../layers/refused.ts';
import { directoryFiles } from './directory.ts';
import { isDockerArchive, openDockerArchive } from './docker-archive.ts';
import { archiveBytesMax } from './limits.ts';
import { isOciLayout, openOciLayout } from './oci-layout.ts';
import type { Choice, ImageFiles, ImageSource, Platform } from './source.ts';
import { indexTar } from './tar-index.ts';

export interface OpenArchiveOptions {
  /** Which image, where the archive has several: a name or tag as the archive gives it, `debian:12`. */
  readonly reference?: string | undefined;
  /** Which platform; default this machine's. */
  readonly platform?: Platform | undefined;
  /** Where an archive that is compressed as a whole is decompressed to; default the system's directory for that. */
  readonly temporary?: string | undefined;
}

/**
 * Opens an image in a file or directory: what `docker save` writes, an OCI archive, or an OCI layout.
 *
 * The file may be compressed as a whole. What is in it is hostile until verified: documents are, when this returns;
 * layers are while they are read.
 */
export async function openArchive(path: string, options: OpenArchiveOptions = {}): Promise<ImageSource> {
  const { reference, platform = thisPlatform(), temporary = tmpdir() } = options;
  try {
    const files = await openFiles(path, temporary);
    try {
      return await openImage(files, { reference, platform });
    } catch (error) {
      await files.close();
      throw error;
    }
  } catch (error) {
    throw explained(error, path);
  }
}

const architectures: Partial<Record<NodeJS.Architecture, string>> = { x64: 'amd64', arm64: 'arm64' };

export function thisPlatform(): Platform {
  return { os: 'linux', architecture: architectures[process.arch] ?? process.arch };
}

/** The files of an archive, or of a directory. */
export async function openFiles(path: string, temporary: string): Promise<ImageFiles> {
  const stats = await stat(path);
  if (stats.isDirectory()) return directoryFiles(path);
  return indexTar(await openTar(path, stats, temporary));
}

/** The files of an archive that comes as a stream: it is kept in a file, for they are read in another order. */
export async function spooled(stream: AsyncIterable<Uint8Array>, temporary: string): Promise<ImageFiles> {
  const raw = await unnamedFile(temporary);
  try {
    let bytes = 0;
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes > archiveBytesMax) throw new Refused(`it has more than ${archiveBytesMax} bytes`);
      await raw.appendFile(chunk);
    }
  } catch (error) {
    await raw.close();
    throw error;
  }
  return indexTar(await plainTar(raw, temporary));
}

async function openImage(files: ImageFiles, choice: Choice): Promise<ImageSource> {
  // What Docker writes today is both; the OCI layout is the one whose every file has a digest.
  if (await isOciLayout(files)) return openOciLayout(files, choice);
  if (await isDockerArchive(files)) return openDockerArchive(files, choice);
  const top = await files.top();
  const isRoot = ['etc', 'usr', 'bin'].filter((name) => top.includes(name)).length >= 2;
  throw new Refused('it has neither "index.json" and "oci-layout" nor "manifest.json"', {
    hint: isRoot
      ? 'It looks like a root file system: use it as rootfs (unpacked, if it is an archive).'
      : 'An image is what `docker save`, or `skopeo copy` to docker-archive:, oci-archive: or oci:, writes.',
  });
}

/** A handle of the tar archive, decompressed. */
async function openTar(path: string, stats: Stats, temporary: string): Promise<FileHandle> {
  // Opening a fifo waits for a writer, perhaps for ever.
  if (!stats.isFile()) throw new Refused('it is neither a file nor a directory');
  return plainTar(await open(path), temporary);
}

async function plainTar(handle: FileHandle, temporary: string): Promise<FileHandle> {
  try {
    const start = Buffer.alloc(magicBytes);
    const { bytesRead } = await handle.read(start, 0, magicBytes, 0);
    if (bytesRead === 0) throw new Refused('it is empty');
    if (compressionOf(start) === 'none') return handle;
    const plain = await decompress(handle, temporary);
    await handle.close();
    return plain;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function decompress(handle: FileHandle, temporary: string): Promise<FileHandle> {
  const plain = await unnamedFile(temporary);
  let bytes = 0;
  try {
    const raw = handle.createReadStream({ start: 0, autoClose: false, highWaterMark: chunkBytes });
    const chunks = uncompressed(raw);
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > archiveBytesMax) throw new Refused(`it has more than ${archiveBytesMax} bytes, decompressed`);
      await plain.appendFile(chunk);
      chunks.giveBack(chunk);
    }
    return plain;
  } catch (error) {
    await plain.close();
    throw error;
  }
}

// No constant of Node's.
const oTmpfile = 0o20000000 | constants.O_DIRECTORY;

/** A file that has no name, so that it goes with its handle, however this process ends. */
async function unnamedFile(temporary: string): Promise<FileHandle> {
  const unnamed = await open(temporary, oTmpfile | constants.O_RDWR, 0o600).catch(() => undefined);
  if (unnamed !== undefined) return unnamed;
  // Not every file system has such files.
  const directory = await mkdtemp(join(temporary, 'runts-image-'));
  try {
    return await open(join(directory, 'archive.tar'), 'wx+', 0o600);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const againHint = 'Make the image again, or get it again.';

/** An error about an image, with the image's name. */
export function explained(cause: unknown, path: string): unknown {
  if (RuntsError.is(cause)) return cause;
  const what = `cannot read the image ${path}`;
  if (cause instanceof Refused) {
    const code = cause.unsupported ? 'ERR_UNSUPPORTED' : 'ERR_IMAGE';
    return new RuntsError(code, `${what}: ${cause.message}`, { cause, hint: cause.hint ?? againHint });
  }
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === undefined) return cause;
  if (code !== 'ENOENT') return new RuntsError('ERR_IMAGE', `${what}: ${message}`, { cause });
  const hint = 'An image is a path to an archive or a directory.';
  return new RuntsError('ERR_NOT_FOUND', `${what}: there is no such file or directory`, { cause, hint });
}
