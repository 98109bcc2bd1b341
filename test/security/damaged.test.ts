// R21: whatever is on disk, `delete --force` leaves nothing of a container.
import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, expect } from 'vitest';
import { isAlive, Place } from '../oci/oci.ts';
import { testIf } from '../support/requires.ts';

const place = new Place();
afterAll(() => place.remove());

const damages: Readonly<Record<string, (file: string) => void>> = {
  'is empty': (file) => truncateSync(file, 0),
  'is cut off': (file) => truncateSync(file, 40),
  'is another document': (file) => writeFileSync(file, '{}'),
};

for (const [what, damage] of Object.entries(damages)) {
  testIf(
    'root',
    'cgroup2',
    'busybox',
  )(`a container whose record ${what} is killed and removed by force`, async () => {
    const id = what.replaceAll(' ', '-');
    await place.ok('run', '-d', '-b', place.bundle('sleep 1000 & exec sleep 1000'), id);
    const file = `${place.root}/${id}/state.json`;
    const { process, cgroup } = JSON.parse(readFileSync(file, 'utf8'));
    damage(file);
    expect((await place.runts(['delete', id])).code).toBe(1);
    expect(isAlive(process.pid)).toBe(true);
    const { code, stderr } = await place.runts(['delete', '--force', id]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('damaged') });
    expect([isAlive(process.pid), existsSync(cgroup.path), place.left()]).toEqual([false, false, []]);
  });
}
