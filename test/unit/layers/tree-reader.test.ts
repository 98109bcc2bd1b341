import { expect, test } from 'vitest';
import { listMax } from '../../../lib/layers/limits.ts';
import { TreeReader } from '../../../lib/layers/tree-reader.ts';

const types = { directory: 0o040755, symlink: 0o120777 } as const;

/** What an init says of an entry. */
function found(name: string, type: keyof typeof types, { target = '', attributes = 0 } = {}): Buffer {
  const head = Buffer.alloc(80);
  head.writeUInt32LE(1, 0);
  head.writeUInt32LE(types[type], 4);
  head.writeUInt32LE(name.length, 40);
  head.writeUInt32LE(target.length, 44);
  head.writeUInt32LE(attributes, 48);
  const rows = Buffer.alloc(attributes);
  if (attributes > 0) {
    rows.writeUInt32LE(6, 0);
    rows.writeUInt32LE(attributes - 8 - 6, 4);
    rows.write('user.a', 8);
  }
  return Buffer.concat([head, Buffer.from(name + target, 'latin1'), rows]);
}

/** A reader whose init answers this, and then nothing more. */
function readerOf(answers: Iterator<Buffer>): TreeReader {
  const stream = {
    write: async () => {},
    read: async () => {
      const { value, done } = answers.next();
      return done ? undefined : (value as Buffer);
    },
    close: () => {},
  };
  return TreeReader.over({ stream, done: Promise.resolve() });
}

const end = Buffer.alloc(80);

test('a name that is told twice while a directory changes is one entry, as it was told last', async () => {
  const link = found('a', 'symlink', { target: '/etc' });
  const reader = readerOf([link, found('b', 'directory'), found('a', 'directory'), end].values());
  expect((await reader.list('')).map(({ name, type, target }) => [name, type, target])).toEqual([
    ['a', 'directory', ''],
    ['b', 'directory', ''],
  ]);
});

test('a directory that is larger than what is held at once is refused in words', async () => {
  function* large(): Generator<Buffer> {
    for (let i = 0; ; i++) yield found(`${i}`, 'directory', { attributes: 64 * 1024 });
  }
  await expect(readerOf(large()).list('data')).rejects.toMatchObject({
    code: 'ERR_UNSUPPORTED',
    message: expect.stringContaining('"data"'),
    hint: expect.stringContaining(`${listMax.entries} entries`),
  });
});
