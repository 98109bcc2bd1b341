import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { algorithmOf, blobPath } from '../digest.ts';

/** Where the parts of a store are. The first three are an OCI image layout; other tools leave the rest alone. */
export class Place {
  readonly directory: string;
  readonly layout: string;
  readonly index: string;
  readonly blobs: string;
  /** What is being written: `<algorithm>-<hex>` stays to be gone on with, `new-<random>` does not. */
  readonly ingest: string;
  readonly leases: string;
  readonly lock: string;
  /** Space that is set aside for index.json. */
  readonly reserve: string;

  constructor(directory: string) {
    this.directory = directory;
    this.layout = join(directory, 'oci-layout');
    this.index = join(directory, 'index.json');
    this.blobs = join(directory, 'blobs');
    this.ingest = join(directory, 'ingest');
    this.leases = join(directory, 'leases');
    this.lock = join(directory, 'lock');
    this.reserve = join(directory, 'reserve');
  }

  blob(digest: string): string {
    return join(this.directory, blobPath(digest));
  }

  /** Where the blob of a digest is gathered. */
  partial(digest: string): string {
    return join(this.ingest, digest.replace(':', '-'));
  }

  blobDirectory(digest: string): string {
    return join(this.blobs, algorithmOf(digest));
  }
}

/** Makes a directory for us alone, and those above it; one that is there stays as it is. */
export async function makeDirectory(path: string): Promise<void> {
  // Not with `recursive`: below /proc, where nothing can be made, Node tries for ever.
  try {
    await makeOne(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(path) === path) throw error;
    await makeDirectory(dirname(path));
    await makeOne(path);
  }
}

async function makeOne(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** Where the next content of a file is written. */
export const temporaryOf = (path: string) => `${path}.new`;

/** Writes a whole file so that after a crash it is the old one or the new one. Only one process may do so at a time. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const temporary = temporaryOf(path);
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  const file = await open(temporary, flags, 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/** So that a rename is there after a power cut. Some file systems cannot, and then there is nothing better. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().catch(() => undefined);
  await directory.close();
}

/** All of it, at that place of the file. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
