import { expect, test } from 'vitest';
import { projectsUnsupported } from '../../../lib/layers/quota-hints.ts';

const mountinfo = [
  '21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
  '30 21 0:25 / /var/lib rw - btrfs /dev/sdb rw',
  '31 30 8:2 / /var/lib/my\\040data rw,noatime shared:2 master:1 - xfs /dev/sdc rw',
  '32 30 8:3 / /var/lib/runts rw - ext4 /dev/sdd rw',
  '',
].join('\n');

test.each([
  ['/var/lib/runts', undefined, /is on ext4, mounted on \/var\/lib\/runts .*accounts .* limits none/, /tune2fs/],
  ['/var/lib/runts', 'ESRCH', /is on ext4, .* no quotas of projects \(ESRCH\)/, /prjquota/],
  ['/var/lib/my data/x', 'ESRCH', /is on xfs, mounted on \/var\/lib\/my data /, /first mount/],
  [
    '/var/lib/other',
    'ENOSYS',
    /is on btrfs \(mounted on \/var\/lib\), which has no quotas/,
    /Put the data directory on xfs/,
  ],
  ['/var/library', 'ESRCH', /is on ext4, mounted on \/ /, /tune2fs/],
] as const)('what %s lacks for a quota is told, and what to do (%s)', (directory, errno, why, hint) => {
  const found = projectsUnsupported(mountinfo, directory, errno);
  expect(found.why).toMatch(why);
  expect(found.hint).toMatch(hint);
});
