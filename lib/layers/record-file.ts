import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** What most records of the data directory may have; few have a thousandth of it. */
export const recordBytesMax = 64 * 1024 * 1024;

/**
 * The text of a record that we have written into a directory of ours. Undefined where there is none, or what no record is:
 * a link, something that is no file and might be waited for, or more than it may have.
 */
export async function readRecordText(path: string, bytesMax = recordBytesMax): Promise<string | undefined> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(path, flags).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > bytesMax) return undefined;
    return await file.readFile('utf8');
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}
