import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { cannotRead, isShortage } from './shortage.ts';

/** What most records of the data directory may have; few have a thousandth of it. */
export const recordBytesMax = 64 * 1024 * 1024;

/**
 * The text of a record that we have written into a directory of ours. Undefined where there is none; empty, which no record is,
 * for what cannot be read or is none: a link, something that is no file and might be waited for, or more than it may have. Throws
 * where descriptors or memory do not suffice to find out.
 */
export async function readRecordText(path: string, bytesMax = recordBytesMax): Promise<string | undefined> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (isShortage(error)) throw cannotRead(path, error);
    return undefined;
  });
  if (file === undefined) return (await lstat(path).catch(() => undefined)) === undefined ? undefined : '';
  try {
    const stats = await file.stat();
    return stats.isFile() && stats.size <= bytesMax ? await file.readFile('utf8') : '';
  } catch (error) {
    if (isShortage(error)) throw cannotRead(path, error as NodeJS.ErrnoException);
    return '';
  } finally {
    await file.close();
  }
}
