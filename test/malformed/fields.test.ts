import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Look } from '../support/look.ts';
import { type FieldCase, fieldCases, nameOf } from './fields.ts';
import { complaint, everything, goodConfig, Place } from './place.ts';

// Every field of config.json, with every kind of value that it cannot have: each is refused at create, by the name of the
// field, and nothing is left. Values at the ends of what it can have go to the kernel, which may take them or not.

const place = new Place();
const good = goodConfig(place.rootfs);
const cases = fieldCases();
const fields = [...new Set(cases.map(({ path }) => path))];
let before: Look;

beforeAll(async () => {
  place.write(good);
  await place.call(['run', place.newId()]);
  place.write('');
  before = place.look();
});
afterAll(() => place.remove());

async function refused(each: FieldCase): Promise<void> {
  place.write(each.text(good));
  const said = complaint(await place.call(['create', place.newId()]));
  // What cannot be read does not always reach the field itself.
  expect(said, nameOf(each)).toContain(each.syntax ? each.path.slice(0, each.path.lastIndexOf('/')) : each.path);
  if (!each.syntax) expect(said, nameOf(each)).toContain(each.written ?? '');
  expect(place.left(), nameOf(each)).toEqual([]);
}

test('of fields there are many, and of values for them', () => {
  expect(fields.length).toBeGreaterThan(250);
  expect(cases.filter((each) => each.refused).length).toBeGreaterThan(3000);
});

test.each(fields)(
  '%s',
  async (field) => {
    for (const each of cases.filter(({ path, refused }) => path === field && refused)) await refused(each);
  },
  600_000,
);

const extremes = cases.filter((each) => !each.refused);

test.each(everything ? extremes : extremes.filter((_, i) => i % 16 === 5))(
  '$path at the end of what it can be',
  async (each) => {
    place.write(each.text(good));
    const id = place.newId();
    const made = await place.call(['create', id]);
    if (made.code !== 0) complaint(made);
    else {
      const started = await place.call(['start', id]);
      if (started.code !== 0) complaint(started);
      expect(await place.call(['delete', '--force', id])).toMatchObject({ code: 0, signal: null });
    }
    expect(place.left(), nameOf(each)).toEqual([]);
  },
  60_000,
);

test('nothing is left of all that', async () => {
  place.write('');
  await place.unchanged(before);
});
