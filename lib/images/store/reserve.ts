import { constants } from 'node:fs';
import { open, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory, temporaryOf, writeAt } from './place.ts';

/** What is set aside is so many bytes, or so many times as many. */
const unitBytes = 16 * 1024;

const fullDisk = ['ENOSPC', 'EDQUOT'];

export const isFull = (error: unknown): boolean => fullDisk.includes((error as NodeJS.ErrnoException).code ?? '');

/**
 * Sets space aside for a file of so many bytes, where that is not done yet: a disk without a free block is to be helped by a
 * removal, and every removal begins with an index that has to be written. Where there is no space for it, there is none.
 */
export async function setAside(reserve: string, bytes: number): Promise<void> {
  const wanted = Math.ceil(bytes / unitBytes) * unitBytes;
  if (((await stat(reserve).catch(() => undefined))?.size ?? 0) >= wanted) return;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
  try {
    const file = await open(reserve, flags, 0o600);
    try {
      // Not zeros, which some file systems keep as holes.
      await writeAt(file, Buffer.alloc(wanted, '\n'), 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    await unlink(reserve).catch(() => undefined);
    if (!isFull(error)) throw error;
  }
}

/** Replaces a whole file as `replaceFile` does, in the blocks that were set aside. */
export async function replaceBySetAside(path: string, content: string, reserve: string): Promise<void> {
  const bytes = Buffer.from(content);
  const temporary = temporaryOf(path);
  await rename(reserve, temporary);
  try {
    const file = await open(temporary, constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      await writeAt(file, bytes, 0);
      await file.truncate(bytes.length);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    await unlink(temporary).catch(() => undefined);
    throw error;
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}
