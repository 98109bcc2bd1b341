import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Look } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import type { DocumentCase } from './document-case.ts';
import { documents } from './documents.ts';
import { complaint, goodConfig, type Outcome, Place } from './place.ts';
import { texts } from './texts.ts';

// Whole configurations that are wrong: create and run refuse each in one line that names the field, and nothing is left before
// anybody deletes it.

const place = new Place();
const good = goodConfig(place.rootfs);
let before: Look;

beforeAll(async () => {
  place.write(good);
  await place.call(['run', place.newId()]);
  place.write('');
  before = place.look();
});
afterAll(() => place.remove());

const wrong = testIf('userns');

test('the configuration that is spoilt here works', async () => {
  place.write(good);
  expect(await place.call(['run', place.newId()])).toMatchObject({ code: 0, stderr: '' });
});

test('of documents there are many', () => {
  expect(texts.length + documents.length).toBeGreaterThan(250);
});

// An ordinary user's devices are binds of the host's, for which a directory is made where one is missing.
const ours = documents.filter(({ name }) => process.getuid?.() === 0 || name !== 'a device whose path climbs');

wrong.each([...texts, ...ours])(
  '$name',
  async (each: DocumentCase) => {
    place.write(each.text(good));
    const id = place.newId();
    expect(complaint(await refusedCreate(each, id))).toContain(each.says);
    expect(place.left()).toEqual([]);
    if (!each.detached) expect(complaint(await place.call(['run', id]))).toContain(each.says);
    expect(place.left()).toEqual([]);
    expect(await place.call(['delete', '--force', id])).toEqual({ code: 0, signal: null, stdout: '', stderr: '' });
  },
  60_000,
);

/** What the kernel finds at the exec is told by start, which leaves a container that has ended. */
async function refusedCreate({ late }: DocumentCase, id: string): Promise<Outcome> {
  const made = await place.call(['create', id]);
  if (made.code !== 0 || late === undefined) return made;
  const started = await place.call(['start', id]);
  expect(await place.call(['delete', '--force', id])).toMatchObject({ code: 0, stderr: '' });
  return started;
}

const shapes: readonly (readonly [name: string, says: string, make: () => void])[] = [
  ['nothing', 'ENOENT', () => {}],
  ['a directory', 'EISDIR', () => mkdirSync(place.config)],
  ['a fifo that nobody writes to', 'line 1', () => execFileSync('mkfifo', [place.config])],
  ['a link to nothing', 'ENOENT', () => symlinkSync('/nosuch', place.config)],
  ['a link to itself', 'ELOOP', () => symlinkSync('config.json', place.config)],
  ['a link to /dev/null', 'line 1', () => symlinkSync('/dev/null', place.config)],
  ['a link to /dev/zero', 'larger than', () => symlinkSync('/dev/zero', place.config)],
];

test.each(shapes)('config.json is %s', async (_, says, make) => {
  rmSync(place.config, { recursive: true, force: true });
  make();
  for (const verb of ['create', 'run']) {
    expect(complaint(await place.call([verb, place.newId()]))).toContain(says);
    expect(place.left()).toEqual([]);
  }
});

test('config.json is a socket', async () => {
  rmSync(place.config, { recursive: true, force: true });
  const server = createServer().listen(place.config);
  try {
    expect(complaint(await place.call(['create', place.newId()]))).toContain('ENXIO');
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

testIf('ordinary user')('config.json is closed to us', async () => {
  place.write(good);
  chmodSync(place.config, 0);
  expect(complaint(await place.call(['create', place.newId()]))).toContain('EACCES');
});

test('nothing is left of all that', async () => {
  place.write('');
  await place.unchanged(before);
});
