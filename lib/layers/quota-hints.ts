import { unescaped } from '../spec/mountinfo.ts';

/** Why there are no quotas of projects on a file system, and what to do about it. */
export interface Refusal {
  readonly why: string;
  readonly hint: string;
}

const advice: Readonly<Record<string, string>> = {
  ext4: 'It takes the features project and quota (tune2fs -O project,quota -Q prjquota, unmounted), and the mount option prjquota.',
  xfs: 'It takes the mount option prjquota, which is for the first mount: a remount does not change it.',
};
const elsewhere =
  'Put the data directory on xfs that is mounted with prjquota, or on ext4 with the features project and quota, mounted with prjquota.';

/** By the mounts there are, the directory of the data, and the errno with which quotactl_fd(2) said no, if it did. */
export function projectsUnsupported(mountinfo: string, directory: string, errno: string | undefined): Refusal {
  const { at, type } = mountOf(mountinfo, directory);
  const hint = advice[type] ?? elsewhere;
  const place = `${directory} is on ${type} (mounted on ${at})`;
  if (errno !== undefined && advice[type] === undefined)
    return { why: `${place}, which has no quotas of projects`, hint };
  const reason = errno === undefined ? 'accounts for projects and limits none' : `has no quotas of projects (${errno})`;
  const option = `mounted on ${at} without the option prjquota, or by a kernel without quotas`;
  return { why: `${directory} is on ${type}, ${option}: it ${reason}`, hint };
}

interface Mount {
  readonly at: string;
  readonly type: string;
}

/** proc_pid_mountinfo(5): the mount point is the fifth field, the type follows a hyphen. Of several at one place, the last. */
function mountOf(mountinfo: string, directory: string): Mount {
  let found: Mount = { at: '/', type: 'a file system that is not known' };
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    const at = unescaped(fields[4] ?? '');
    const type = fields[fields.indexOf('-', 6) + 1];
    if (at === '' || type === undefined || at.length < found.at.length) continue;
    if (at === '/' || directory === at || directory.startsWith(`${at}/`)) found = { at, type };
  }
  return found;
}
