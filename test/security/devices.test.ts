// A container of root without a user namespace: its root is root of the host, and owns the devices that it is shown.
import { lstatSync, utimesSync } from 'node:fs';
import { afterAll, beforeEach, expect } from 'vitest';
import { shell } from '../cli/runts.ts';
import { type Config, Place } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

const rooted = testIf('root', 'busybox');
const place = new Place();
afterAll(() => place.remove());

const look = () => {
  const { mode, uid, gid, mtimeMs } = lstatSync('/dev/null');
  return { mode, uid, gid, touched: mtimeMs === 1_000_000 };
};
// What is tried must not be what others use the machine for: a time hurts nobody, and takes the same right as a mode.
beforeEach(() => utimesSync('/dev/null', new Date(), new Date()));

const withoutInput = (line: string) => shell(`$RUNTS --root ${place.root} ${line} < /dev/null`);

const masked = (config: Config) => {
  config.linux.maskedPaths = ['/proc/keys', '/etc/hidden'];
};

rooted("the host's null device keeps its mode, owner and time under a masked path", async () => {
  const before = look();
  const attempt =
    'for f in /proc/keys /proc/1/root/proc/keys; do touch -d @1000 $f; chmod 666 $f; done; cat /proc/keys';
  const { code, stderr } = await place.runts(['run', '-b', place.bundle(attempt, masked), 'mask']);
  expect({ code, now: look(), refused: /Read-only file system/.test(stderr) }).toEqual({
    code: 0,
    now: before,
    refused: true,
  });
});

rooted('and as a standard stream, which can be read and written as ever', async () => {
  const before = look();
  const attempt =
    'touch -d @1000 /proc/self/fd/0; chmod 666 /proc/self/fd/0; cat; echo 1 > /proc/self/fd/0; readlink /proc/self/fd/0';
  const { code, stdout } = await withoutInput(`run -b ${place.bundle(attempt)} null`);
  expect({ code, stdout, now: look() }).toEqual({ code: 0, stdout: '/dev/null\n', now: before });
});

rooted('and in exec', async () => {
  const before = look();
  await place.ok('run', '-d', '-b', place.bundle('sleep 100'), 'later');
  const { code } = await withoutInput("exec later sh -c 'touch -d @1000 /proc/self/fd/0; true'");
  expect({ code, now: look() }).toEqual({ code: 0, now: before });
});
