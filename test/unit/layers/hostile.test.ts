import fs from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { layer, type Member, sha256, tar } from '../../support/archives.ts';
import { good, hostileArchives, hostileLayers, up } from '../../support/hostile-layers.ts';
import { look, unpack } from '../../support/unpacked.ts';

async function refusal(layers: Parameters<typeof unpack>[0], options: Parameters<typeof unpack>[1] = {}) {
  const { outside, attempt } = await unpack(layers, options);
  const error = await attempt.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(fs.readdirSync(outside)).toEqual(['root']);
  return error as { code: string; message: string };
}

test.each(hostileLayers)('a layer with %s is refused, and nothing is written outside', async (_, members, reason) => {
  const error = await refusal([tar(...members)]);
  expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
  expect(error.message).toContain('layer 1 of 1 (sha256:');
});

test('symbolic links that point out of the root lead nowhere outside', async () => {
  const { outside, root, attempt } = await unpack([
    tar(
      { name: 'abs', type: '2', link: '/' },
      { name: 'up', type: '2', link: '..' },
      { name: 'abs/a', content: 'a' },
      { name: 'up/b', content: 'b' },
      { name: 'far', type: '2', link: `${up}tmp` },
      { name: 'far/c', content: 'c' },
    ),
  ]);
  await attempt;
  expect(fs.readdirSync(outside)).toEqual(['root']);
  expect(look(root)).toEqual([
    'a 644 a',
    'abs -> /',
    'b 644 b',
    `far -> ${up}tmp`,
    'tmp/ 755',
    'tmp/c 644 c',
    'up -> ..',
  ]);
});

test('a file over a symbolic link to a file outside replaces the link, and leaves the file', async () => {
  const { outside, root, attempt } = await unpack([
    tar(
      { name: 'l', type: '2', link: '../victim' },
      { name: 'l', content: 'new', mode: 0o777 },
      { name: 'd', type: '2', link: '..' },
      { name: 'd/', mode: 0o700 },
      { name: 'd/x', content: 'x' },
    ),
  ]);
  fs.writeFileSync(join(outside, 'victim'), 'old', { mode: 0o600 });
  await attempt;
  expect(fs.readFileSync(join(outside, 'victim'), 'utf8')).toBe('old');
  expect(fs.statSync(join(outside, 'victim')).mode & 0o777).toBe(0o600);
  expect(look(root)).toEqual(['d/ 700', 'd/x 644 x', 'l 777 new']);
});

test('a whiteout through a symbolic link removes nothing outside', async () => {
  const lower = tar({ name: 'd', type: '2', link: '..' }, { name: 'keep' });
  const { outside, attempt } = await unpack([lower, tar({ name: 'd/.wh.victim' }, { name: 'd/.wh..wh..opq' })]);
  fs.writeFileSync(join(outside, 'victim'), 'old');
  await attempt;
  expect(fs.readdirSync(outside).sort()).toEqual(['root', 'victim']);
});

test('a hard link through a symbolic link does not reach a file outside', async () => {
  const members: Member[] = [
    { name: 'd', type: '2', link: '../' },
    { name: 'a', type: '1', link: 'd/root' },
  ];
  expect(await refusal([tar(...members)])).toMatchObject({ code: 'ERR_IMAGE' });
});

test('a hard link to a symbolic link is a name of the link itself', async () => {
  const { root, attempt } = await unpack([
    tar({ name: 'l', type: '2', link: '/etc/shadow' }, { name: 'a', type: '1', link: 'l' }),
  ]);
  await attempt;
  expect(look(root)).toEqual(['a -> /etc/shadow', 'l -> /etc/shadow']);
});

test('names that links make longer than a path may be are refused', async () => {
  const part = 'n'.repeat(250);
  const members: Member[] = [{ name: 'x', pax: { path: Array(15).fill(part).join('/') }, type: '5' }];
  members.push({ name: 's', type: '2', pax: { linkpath: Array(15).fill(part).join('/') }, link: 'x' });
  for (let i = 0; i < 3; i++) members.push({ name: 'y', pax: { path: `s/${part}/${part}/${i}` } });
  expect(await refusal([tar(...members)])).toMatchObject({ code: 'ERR_IMAGE', message: /more than 4095 bytes/ });
});

test.each(hostileArchives)('a layer that %s is refused', async (_, bytes, reason) => {
  expect(await refusal([layer(bytes)])).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
});

const packed = gzipSync(good);
const altered = Buffer.from(packed);
altered.fill(0x55, 20, 40);

test.each<[string, Buffer, RegExp]>([
  ['is cut', packed.subarray(0, packed.length - 12), /compressed data is truncated/],
  ['is altered', altered, /compressed data is damaged/],
  ['has something after it', Buffer.concat([packed, Buffer.from('more'.repeat(100))]), /other data after|damaged/],
])('a gzip layer that %s is refused', async (_, stored, reason) => {
  const error = await refusal([layer(good, stored)]);
  expect(error).toMatchObject({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
});

test('a layer whose content is not what the configuration says is refused, with both digests', async () => {
  const error = await refusal([{ ...layer(good), diffId: sha256('other') }]);
  expect(error.code).toBe('ERR_IMAGE');
  expect(error.message).toContain(sha256(good));
  expect(error.message).toContain(sha256('other'));
});

test('a digest covers what follows the end of the tar', async () => {
  const longer = Buffer.concat([good, Buffer.from('payload')]);
  expect(await refusal([{ ...layer(good), open: () => Readable.from([longer]) }])).toMatchObject({ code: 'ERR_IMAGE' });
});

test('a layer in a format that Node cannot read says so, and what to do', async () => {
  const error = await refusal([layer(good, Buffer.concat([Buffer.from('BZh9'), good]))]);
  expect(error).toMatchObject({ code: 'ERR_UNSUPPORTED', message: expect.stringContaining('bzip2') });
});

test('a stream that fails ends it with that reason', async () => {
  const failing = new Readable({
    read() {
      this.destroy(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
    },
  });
  const error = await refusal([{ ...layer(good), open: () => failing }]);
  expect(error).toMatchObject({ code: 'ERR_SETUP', message: expect.stringContaining('EIO') });
});

test('limits bound bytes, entries and names', async () => {
  const bomb = gzipSync(tar({ name: 'zeros', content: Buffer.alloc(3_000_000) }));
  const zeros = tar({ name: 'zeros', content: Buffer.alloc(3_000_000) });
  const message = (reason: RegExp) => ({ code: 'ERR_IMAGE', message: expect.stringMatching(reason) });
  const bytes = { limits: { bytes: 1_000_000 } };
  expect(await refusal([layer(zeros, bomb)], bytes)).toMatchObject(message(/more than 1000000 uncompressed bytes/));
  const many = tar({ name: 'a' }, { name: 'b' }, { name: 'c' });
  expect(await refusal([many], { limits: { entries: 2 } })).toMatchObject(message(/more than 2 entries/));
  expect(await refusal([many], { limits: { nameBytes: 2 } })).toMatchObject(message(/more than 2 bytes of names/));
});

test('no descriptor stays open after a refusal in the middle of a file', async () => {
  const count = () => fs.readdirSync('/proc/self/fd').length;
  await refusal([good.subarray(0, 1024)]);
  const before = count();
  for (let i = 0; i < 5; i++) await refusal([tar({ name: 'd/e/f' }), good.subarray(0, 1024)]);
  expect(count()).toBeLessThanOrEqual(before);
});
