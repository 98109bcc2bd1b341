import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Refused } from '../../../lib/layers/refused.ts';
import { type TarEntry, TarReader } from '../../../lib/layers/tar.ts';
import { type Member, paxBody, tar, tarMember } from '../../support/archives.ts';

interface Read {
  readonly entry: TarEntry;
  content: string;
}

/** Everything in an archive, fed in pieces of `size` bytes. */
function readAll(bytes: Buffer, size = bytes.length): Read[] {
  const reader = new TarReader();
  const found: Read[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    reader.feed(bytes.subarray(at, at + size));
    for (let event = reader.next(); event !== undefined; event = reader.next()) {
      if (event.kind === 'entry') found.push({ entry: event.entry, content: '' });
      if (event.kind === 'data') found.at(-1)!.content += event.bytes.toString('latin1');
    }
  }
  reader.finish();
  return found;
}

const byteString = fc.string({
  unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
  minLength: 1,
});

test('what is packed is what is read, in pieces of any size', () => {
  const member = fc.record({
    name: byteString.filter((name) => name.length < 100 && !name.endsWith('/')),
    content: byteString.map((text) => Buffer.from(text, 'latin1')),
    uid: fc.integer({ min: 0, max: 2 ** 40 }),
    pax: fc.option(fc.record({ 'SCHILY.xattr.user.x': byteString }), { nil: undefined }),
  });
  fc.assert(
    fc.property(fc.array(member, { maxLength: 5 }), fc.integer({ min: 1, max: 1500 }), (members, size) => {
      const packed = tar(...members.map(({ pax, ...rest }): Member => (pax === undefined ? rest : { ...rest, pax })));
      const found = readAll(packed, size).map(({ entry, content }) => [
        entry.name,
        entry.uid,
        [...entry.xattrs.keys()],
        content,
      ]);
      expect(found).toEqual(
        members.map(({ name, uid, pax, content }) => [name, uid, pax ? ['user.x'] : [], content.toString('latin1')]),
      );
    }),
    { seed: 1, numRuns: 100 },
  );
});

test('an archive with any bytes changed is read or refused, and nothing else', () => {
  const whole = tar(
    { name: 'a', content: 'x', pax: { path: 'b', size: '1' } },
    { name: 'd/' },
    { name: 'l', type: '2', link: 'a' },
  );
  const change = fc.tuple(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = Buffer.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        readAll(bytes, 700);
      } catch (error) {
        expect(error).toBeInstanceOf(Refused);
      }
    }),
    { seed: 2, numRuns: 1000 },
  );
});

test('a pax value is as long as it says: a newline in it starts no record', () => {
  const records = { 'SCHILY.xattr.user.x': 'v\n17 path=../evil\n' };
  const [found] = readAll(tar({ name: 'good', pax: records }));
  expect(found?.entry).toMatchObject({ name: 'good', xattrs: new Map([['user.x', records['SCHILY.xattr.user.x']]]) });
});

test('extended headers describe the next entry, and no later one', () => {
  const bytes = tar(
    { name: 'L', type: 'L', content: 'long\0' },
    { name: 'K', type: 'K', content: 'target\0' },
    { name: 'first', type: '2', link: 'cut' },
    { name: 'second' },
  );
  const found = readAll(bytes).map(({ entry: { name, linkName } }) => [name, linkName]);
  expect(found).toEqual([
    ['long', 'target'],
    ['second', ''],
  ]);
});

test('an entry that is a header only has no content, whatever size it claims', () => {
  const found = readAll(tar({ name: 'd/', size: 4096 }, { name: 'l', type: '1', link: 'd', size: 512 }, { name: 'f' }));
  expect(found.map(({ entry }) => [entry.name, entry.type, entry.size])).toEqual([
    ['d/', 'directory', 0],
    ['l', 'link', 0],
    ['f', 'file', 0],
  ]);
});

test.each([
  ['two of pax', 'x', 'x'],
  ['one of pax and one of GNU', 'x', 'L'],
  ['one of GNU and one of pax', 'K', 'x'],
  ['two long names', 'L', 'L'],
])('an entry with %s is refused: programs read it in different ways', (_, one, other) => {
  const headers = [one, other].map((type) => ({
    name: 'h',
    type,
    content: type === 'x' ? paxBody({ uid: '7' }) : 'n\0',
  }));
  expect(() => readAll(tar(...headers, { name: 'x' }))).toThrow(/two kinds or one twice/);
});

test('skip leaves out content that was fed, and tells how much was not', () => {
  const reader = new TarReader();
  const bytes = tar({ name: 'a', content: Buffer.alloc(5000) }, { name: 'b' });
  reader.feed(bytes.subarray(0, 1024));
  expect(reader.next()).toMatchObject({ kind: 'entry' });
  expect(reader.skip()).toBe(5120 - 512);
  reader.feed(bytes.subarray(512 + 5120));
  expect(reader.next()).toMatchObject({ kind: 'entry', entry: { name: 'b' } });
});

test.each([
  ['an extended header beyond its limit', { name: 'x', type: 'x', size: 2 ** 20 + 1 }, /limit is 1048576/],
  ['a sparse file of GNU', { name: 'x', type: 'S' }, /stored sparse/],
  ['a sparse file by pax', { name: 'x', pax: { 'GNU.sparse.major': '1' } }, /stored sparse/],
  ['a symbolic link with content', { name: 'x', type: '2', link: 'a', size: 512 }, /can have no content/],
  ['a directory with content by pax', { name: 'x/', pax: { size: '2' } }, /can have no content/],
  ['a fifo with content by pax', { name: 'x', type: '6', pax: { size: '2' } }, /can have no content/],
])('%s is refused', (_, member, reason) => {
  expect(() => readAll(tarMember(member))).toThrow(reason);
});
