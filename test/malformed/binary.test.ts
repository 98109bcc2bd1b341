import { afterAll, beforeAll, describe, expect } from 'vitest';
import type { Look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { documents } from './documents.ts';
import { sceneOf } from './line-case.ts';
import { lines } from './lines.ts';
import { complaint, goodConfig, Place } from './place.ts';
import { texts } from './texts.ts';

// A sample of the other files by the binary itself, as a process of its own: whether it ends by itself and by no signal, what
// its streams get, and what is left of it, are things that only a process shows. All of it: RUNTS_MALFORMED=binary.

const place = new Place();
const good = goodConfig(place.rootfs);
const box = place.newId();
const test = testIf('userns');
let before: Look;

beforeAll(async () => {
  const config = structuredClone(good);
  config.process.args = ['sleep', '1000'];
  place.write(config);
  expect(await place.binary(['run', '-d', box])).toMatchObject({ code: 0, stderr: '' });
  place.write('');
  before = place.look();
});
afterAll(async () => {
  await place.binary(['delete', '--force', box]);
  place.remove();
});

/** Another part of the list for each file that has it, and the same in every run. */
const every = <T>(items: readonly T[], step: number, first: number) => items.filter((_, i) => i % step === first);

describe('documents', () => {
  test.each([...every(texts, 12, 3), ...every(documents, 24, 7)])('$name', async ({ text, says, late }) => {
    place.write(text(good));
    const id = place.newId();
    const made = await place.binary(['create', id]);
    expect(complaint(made.code === 0 && late ? await place.binary(['start', id]) : made)).toContain(says);
    expect(await place.binary(['delete', '--force', id])).toMatchObject({ code: 0, stderr: '' });
    expect(place.left()).toEqual([box]);
  });
});

describe('command lines', () => {
  const scene = sceneOf(place, box);
  const chosen = lines.filter(({ only }) => only === 'binary' || only === undefined);
  test.each([...chosen.filter(({ only }) => only === 'binary'), ...every(chosen, 40, 11)])(
    '$name',
    async ({ words, says }) => {
      place.write(good);
      expect(complaint(await place.binary(words(scene)))).toContain(says);
      expect(place.left()).toEqual([box]);
    },
  );
});

test('nothing is left of all that', async () => {
  place.write('');
  const { files, ...rest } = before;
  const now = place.look();
  expect({ ...now, files: [] }).toEqual({ ...rest, files: [] });
  expect(now.files.filter((path) => path.startsWith(place.state))).toEqual(
    files.filter((path) => path.startsWith(place.state)),
  );
});
