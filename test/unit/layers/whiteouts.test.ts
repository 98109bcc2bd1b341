import { expect, test } from 'vitest';
import { type Member, tar } from '../../support/archives.ts';
import { look, unpack } from '../../support/unpacked.ts';

const lower: Member[] = [
  { name: 'd/' },
  { name: 'd/a', content: 'lower' },
  { name: 'd/e/' },
  { name: 'd/e/b', content: 'lower' },
  { name: 'f', content: 'lower' },
];

test.each<[string, Member[], string[]]>([
  ['a file', [{ name: '.wh.f' }], ['d/ 755', 'd/a 644 lower', 'd/e/ 755', 'd/e/b 644 lower']],
  ['a directory with all that is in it', [{ name: '.wh.d' }], ['f 644 lower']],
  ['what is not there', [{ name: '.wh.x' }, { name: 'x/y/.wh.z' }], base()],
  ['not what its own layer put there before', [{ name: 'f', content: 'new' }, { name: '.wh.f' }], base('f 644 new')],
  ['not what its own layer puts there after', [{ name: '.wh.f' }, { name: 'f', content: 'new' }], base('f 644 new')],
  [
    'what lower layers have in a directory that its own layer has too',
    [{ name: 'd/e/new', content: 'new' }, { name: '.wh.d' }],
    ['d/ 755', 'd/e/ 755', 'd/e/new 644 new', 'f 644 lower'],
  ],
])('a whiteout removes %s', async (_, upper, expected) => {
  const { root, attempt } = await unpack([tar(...lower), tar(...upper)]);
  await attempt;
  expect(look(root)).toEqual(expected);
});

test.each<[string, Member[]]>([
  ['before', [{ name: 'd/.wh..wh..opq' }, { name: 'd/e/new', content: 'new' }]],
  ['after', [{ name: 'd/e/new', content: 'new' }, { name: 'd/.wh..wh..opq' }]],
])('an opaque directory keeps only what its own layer puts there, %s the mark', async (_, upper) => {
  const { root, attempt } = await unpack([tar(...lower), tar(...upper)]);
  await attempt;
  expect(look(root)).toEqual(['d/ 755', 'd/e/ 755', 'd/e/new 644 new', 'f 644 lower']);
});

test('an opaque root removes everything below', async () => {
  const { root, attempt } = await unpack([
    tar(...lower),
    tar({ name: 'only', content: 'x' }, { name: '.wh..wh..opq' }),
  ]);
  await attempt;
  expect(look(root)).toEqual(['only 644 x']);
});

test('a whiteout in the lowest layer hides nothing of that layer', async () => {
  const { root, attempt } = await unpack([tar(...lower, { name: '.wh.f' }, { name: 'd/.wh..wh..opq' })]);
  await attempt;
  expect(look(root)).toEqual(base());
});

test('the housekeeping files of AUFS leave no trace', async () => {
  const { root, attempt } = await unpack([
    tar({ name: '.wh..wh.aufs' }, { name: '.wh..wh.plnk/' }, { name: '.wh..wh.plnk/1.2', content: 'x' }, { name: 'a' }),
  ]);
  await attempt;
  expect(look(root)).toEqual(['a 644 ']);
});

test('a whiteout goes through a symbolic link of a lower layer, inside the root', async () => {
  const { root, attempt } = await unpack([
    tar({ name: 'usr/bin/a' }, { name: 'usr/bin/b' }, { name: 'bin', type: '2', link: '/usr/bin' }),
    tar({ name: 'bin/.wh.a' }),
  ]);
  await attempt;
  expect(look(root)).toEqual(['bin -> /usr/bin', 'usr/ 755', 'usr/bin/ 755', 'usr/bin/b 644 ']);
});

test('a whiteout of a symbolic link leaves what it points to', async () => {
  const { root, attempt } = await unpack([
    tar({ name: 'd/a', content: 'x' }, { name: 'l', type: '2', link: 'd' }),
    tar({ name: '.wh.l' }),
  ]);
  await attempt;
  expect(look(root)).toEqual(['d/ 755', 'd/a 644 x']);
});

/** The tree of the lower layer, with another last line. */
function base(file = 'f 644 lower'): string[] {
  return ['d/ 755', 'd/a 644 lower', 'd/e/ 755', 'd/e/b 644 lower', file];
}
