import { expect, test } from 'vitest';
import { mountOptions, optionWords } from '../../../lib/rootfs/options.ts';

/** The words that the runtime specification says a runtime must know. */
const specified = `async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev
  nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev
  rdiratime relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow
  ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave
  strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap`.split(/\s+/);

test('every word of the runtime specification is known', () => {
  expect(specified.filter((word) => !optionWords.includes(word))).toEqual([]);
});

test('words that are not known go to the file system', () => {
  expect(mountOptions(['size=1m', 'ro', 'huge=never']).data).toEqual(['size=1m', 'huge=never']);
});

test('of words about the same thing the last one counts', () => {
  expect(mountOptions(['ro', 'rw']).attributes).toEqual({ set: 0, clear: 1 });
  expect(mountOptions(['suid', 'nosuid']).attributes).toEqual({ set: 2, clear: 0 });
  expect(mountOptions(['rslave', 'private']).propagation).toEqual({ flags: 0x40000, recursive: false });
  expect(mountOptions(['sync', 'lazytime', 'async'])).toMatchObject({ superblock: ['lazytime'], data: [] });
});

test('the access times are one field, which is always set whole', () => {
  expect(mountOptions(['noatime', 'strictatime']).attributes).toEqual({ set: 0x20, clear: 0x70 });
  expect(mountOptions(['noatime', 'relatime']).attributes).toEqual({ set: 0, clear: 0x70 });
});

test('recursive words do not change the others', () => {
  expect(mountOptions(['rro', 'rnosuid', 'nodev'])).toMatchObject({
    attributes: { set: 4, clear: 0 },
    recursive: { set: 3, clear: 0 },
  });
});

test('what has no op is told apart from what the file system should know', () => {
  expect(mountOptions(['src-nofollow'])).toMatchObject({ data: [], refused: ['src-nofollow'] });
  expect(mountOptions(['remount', 'tmpcopyup', 'silent', 'iversion'])).toMatchObject({
    ...{ remount: true, copyUp: true, data: [], refused: [], superblock: [] },
  });
});
