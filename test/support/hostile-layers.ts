// Layers that every unpacker refuses, and a part of the reason.
import { type Member, tar, tarMember } from './archives.ts';

export const up = '../'.repeat(8);

export const hostileLayers: readonly [what: string, members: Member[], reason: RegExp][] = [
  ['.. at the start', [{ name: '../escape', content: 'x' }], /entry "\.\.\/escape": the name climbs out/],
  ['.. in the middle', [{ name: 'a/../../escape' }], /climbs out/],
  ['.. at the end', [{ name: 'a/..', type: '5' }], /climbs out/],
  ['.. that stays inside', [{ name: 'a/../b' }], /climbs out/],
  ['.. by pax', [{ name: 'a', pax: { path: `${up}escape` } }], /climbs out/],
  ['.. in a hard link', [{ name: 'a', type: '1', link: `${up}etc/passwd` }], /climbs out/],
  ['an empty name', [{ name: '' }], /has no name/],
  ['a NUL in a name', [{ name: 'x', pax: { path: 'a\0b' } }], /NUL/],
  ['a component of 256 bytes', [{ name: 'x', pax: { path: 'a'.repeat(256) } }], /limit is 255/],
  ['a name of 4096 bytes', [{ name: 'x', pax: { path: 'ab/'.repeat(1400) } }], /limit is 4095/],
  ['a name 600 deep', [{ name: 'x', pax: { path: 'a/'.repeat(600) } }], /limit is 512/],
  ['the root as a symlink', [{ name: './', type: '2', link: '/etc' }], /the root itself is given as a symlink/],
  ['the root as a file', [{ name: '.', content: 'x' }], /the root itself/],
  ['a hard link to nothing', [{ name: 'a', type: '1', link: 'b' }], /which is not there/],
  [
    'a hard link to a directory',
    [{ name: 'd/' }, { name: 'a', type: '1', link: 'd' }],
    /which is a directory|a hard link to a directory/,
  ],
  ['a hard link to the root', [{ name: 'a', type: '1', link: '/' }], /which is not there|hard link to the root/],
  ['a name through a file', [{ name: 'f' }, { name: 'f/x' }], /not a directory/],
  [
    'a loop of symlinks',
    [{ name: 'a', type: '2', link: 'a' }, { name: 'a/x' }],
    /(more than 40|too many) symbolic links/,
  ],
  ['a symlink without a target', [{ name: 'a', type: '2' }], /no target/],
  ['a whiteout of ..', [{ name: 'd/.wh...' }], /names nothing/],
  ['a whiteout of .', [{ name: '.wh..' }], /names nothing/],
  ['a whiteout of nothing', [{ name: '.wh.' }], /names nothing/],
  ['a name through a whiteout', [{ name: '.wh.d/x' }], /through a whiteout/],
  ['an unknown type', [{ name: 'a', type: 'Z' }], /unknown type "Z"/],
  ['a user id that is not mapped', [{ name: 'a', uid: 65536 }], /belongs to user 65536/],
  ['a group id beyond 32 bits', [{ name: 'a', gid: 2 ** 32 }], /belongs to group 4294967296/],
  ['a user id by pax', [{ name: 'a', pax: { uid: '4294967295' } }], /belongs to user 4294967295/],
  ['an id of the root', [{ name: '/', uid: 70000, type: '5' }], /belongs to user 70000/],
  ['a wrong checksum', [{ name: 'a', checksum: 1 }], /wrong checksum/],
  [
    'a pax header cut short',
    [{ name: 'p', type: 'x', content: '99 path=a\n' }, { name: 'a' }],
    /pax header is malformed/,
  ],
  ['a pax size that is none', [{ name: 'a', pax: { size: '-1' } }], /not a number/],
  ['a global pax header', [{ name: 'g', type: 'g', content: '14 path=/a/b/\n' }, { name: 'a' }], /global pax header/],
  ['a file with a name of a directory', [{ name: 'a/', type: '0', content: 'x' }], /ends with a slash/],
];

export const good = tar({ name: 'a', content: 'x'.repeat(3000) });

export const hostileArchives: readonly [what: string, bytes: Buffer, reason: RegExp][] = [
  ['is cut inside a file', good.subarray(0, 1000), /truncated/],
  ['is cut inside a header', good.subarray(0, 300), /truncated/],
  ['is text', Buffer.from('no tar at all\n'.repeat(100)), /checksum/],
  ['has a gap', Buffer.concat([Buffer.alloc(512), tarMember({ name: 'a' })]), /goes on after/],
  ['claims more than it has', tar({ name: 'a', size: 1e12 }), /truncated/],
];
