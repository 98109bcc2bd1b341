import { RuntsError } from '../../errors.ts';

const space = 'Free some space, or remove images that are not needed any more: `runts image prune -a`.';
const hints: Readonly<Record<string, string>> = {
  ENOSPC: space,
  EDQUOT: space,
  ENOENT: 'Nothing can be made there; set XDG_DATA_HOME to a directory of this user.',
  ENOTDIR: 'The data directory, or one above it, is a file; set XDG_DATA_HOME to a directory of this user.',
  EROFS: 'The data directory is on a file system that is read-only; set XDG_DATA_HOME to another.',
  EACCES: 'The data directory must belong to this user; set XDG_DATA_HOME to one that does.',
  EPERM: 'The data directory must belong to this user; set XDG_DATA_HOME to one that does.',
  EMFILE: 'Raise the limit of open files (ulimit -n).',
  EIO: 'The disk or its file system is failing; see the kernel log.',
};

/** What the system refused to the store, as an error of ours; one that is ours already stays as it is. */
export function systemError(cause: unknown, doing: string): unknown {
  if (RuntsError.is(cause) || !(cause instanceof Error)) return cause;
  const { code, path } = cause as NodeJS.ErrnoException;
  if (code === undefined || cause.name === 'AbortError') return cause;
  const at = path === undefined ? '' : ` ${path}`;
  const hint = Object.hasOwn(hints, code) ? hints[code] : undefined;
  return new RuntsError('ERR_SETUP', `the image store cannot ${doing}${at}: ${code}`, { cause, hint });
}
