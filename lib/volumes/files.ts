import { open, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RuntsError } from '../errors.ts';

/** Makes a change of names in a directory last over a power cut; where the file system can. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  await directory.sync().catch(() => undefined);
  await directory.close();
}

/** A new file that is whole, and on the disk. */
export async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** After a crash it is the old file or the new one. Only whoever holds the lock may do so. */
export async function replaceSynced(path: string, content: string): Promise<void> {
  const temporary = `${path}.new`;
  await unlink(temporary).catch(() => undefined);
  await writeSynced(temporary, content);
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

const hints: Readonly<Record<string, string>> = {
  ENOSPC: 'Free some space: `runts volume prune`.',
  EDQUOT: 'Free some space: `runts volume prune`.',
  EROFS: 'The data directory is on a file system that is read-only; set XDG_DATA_HOME to another.',
  EACCES: 'The data directory must belong to this user; set XDG_DATA_HOME to one that does.',
  EMFILE: 'Raise the limit of open files (ulimit -n).',
};

/** What the system refused, as an error of ours; one that is ours already stays as it is. */
export function systemError(cause: unknown, doing: string): unknown {
  if (RuntsError.is(cause) || !(cause instanceof Error)) return cause;
  const { code, path } = cause as NodeJS.ErrnoException;
  if (code === undefined) return cause;
  const at = path === undefined ? '' : ` (${path})`;
  const hint = Object.hasOwn(hints, code) ? hints[code] : undefined;
  return new RuntsError('ERR_SETUP', `cannot ${doing}: ${code}${at}`, { cause, hint });
}

/** The file system at a path: what was mounted there, or what is below it. Undefined where nothing can be seen. */
export const deviceAt = (path: string): Promise<string | undefined> =>
  stat(path, { bigint: true }).then(
    ({ dev }) => String(dev),
    () => undefined,
  );
