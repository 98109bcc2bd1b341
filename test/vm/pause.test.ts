import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect } from 'vitest';
import { eventually, Place } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

let place: Place;
beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

testIf(
  'vm',
  'cgroup2:pids',
  'busybox',
)('a container that is paused stands still until it is resumed', async () => {
  const bundle = place.bundle('while :; do echo x >>/progress; usleep 10000; done', ({ linux }) => {
    linux.resources = { pids: { limit: 20 } };
  });
  const progress = () => statSync(`${place.rootfs.path}/progress`).size;
  await place.ok('run', '--detach', '--pid-file', `${bundle}/pid`, '--bundle', bundle, 'still');
  const pid = readFileSync(`${bundle}/pid`, 'utf8');
  const cgroup = `/sys/fs/cgroup${/^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1]}`;
  expect(readFileSync(`${cgroup}/pids.max`, 'utf8')).toBe('20\n');
  await eventually(() => progress() > 0, 'progress');

  await place.ok('pause', 'still');
  expect(readFileSync(`${cgroup}/cgroup.events`, 'utf8')).toContain('frozen 1');
  const before = progress();
  await sleep(1500);
  expect(progress()).toBe(before);

  await place.ok('resume', 'still');
  await eventually(() => progress() > before, 'more progress');
  // One that is paused can be removed, too.
  await place.ok('pause', 'still');
  await place.ok('delete', '--force', 'still');
  expect(() => statSync(cgroup)).toThrow('ENOENT');
});
