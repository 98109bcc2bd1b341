import { rmSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { type LineCase, type Scene, sceneOf } from './line-case.ts';
import { lines } from './lines.ts';
import { byBinary, complaint, goodConfig, Place } from './place.ts';

// Command lines that cannot be done: each is refused in one line, changes nothing about a container that runs, and makes none.

const place = new Place();
const good = goodConfig(place.rootfs);
const box = place.newId();
let scene: Scene;
let before: Look;

beforeAll(async () => {
  const config = structuredClone(good);
  config.process.args = ['sleep', '1000'];
  place.write(config);
  const made = byBinary ? await place.binary(['run', '-d', box]) : await place.here(['create', box]);
  expect(made).toMatchObject({ code: 0, stderr: '' });
  if (!byBinary) expect(await place.here(['start', box])).toMatchObject({ code: 0, stderr: '' });
  place.write(good);
  scene = sceneOf(place, box);
  before = place.look();
});
afterAll(async () => {
  const deleted = await place.here(['delete', '--force', box]);
  place.remove();
  // A process of what was refused, and that nobody collects, would keep the PID namespace, and with it the cgroup.
  expect(deleted).toMatchObject({ code: 0, stderr: '' });
});

test('of lines there are many', () => {
  expect(lines.length).toBeGreaterThan(500);
});

const tried = lines.filter(({ only }) => only !== (byBinary ? 'here' : 'binary'));

testIf('userns').each(tried)(
  '$name',
  async ({ words, says }: LineCase) => {
    const outcome = await place.call(words(scene));
    expect(complaint(outcome)).toContain(says);
    expect(place.left()).toEqual([box]);
  },
  60_000,
);

test('nothing is left of all that, and the container runs on', async () => {
  for (const path of scene.made) rmSync(path, { recursive: true, force: true });
  await place.unchanged(before);
  const { stdout } = await place.here(['state', box]);
  expect(JSON.parse(stdout)).toMatchObject({ status: 'running' });
});
