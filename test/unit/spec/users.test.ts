import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../../lib/errors.ts';
import { parseGroup, parsePasswd, parseSubordinate, resolveUser } from '../../../lib/spec/users.ts';

const passwd = `root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
me:x:1000:1000:Me:/home/me:/bin/sh
1234:x:0:0:a name that looks like a number:/root:/bin/sh
homeless:x:50:60::
`;
const group = `root:x:0:
daemon:x:1:root,me
www-data:x:33:
me:x:1000:
docker:x:999:me,www-data
999999:x:7:
`;

describe('resolveUser', () => {
  test.each([
    ['', { uid: 0, gid: 0, additionalGids: [0, 1], home: '/root' }],
    ['root', { uid: 0, gid: 0, additionalGids: [0, 1], home: '/root' }],
    ['0', { uid: 0, gid: 0, additionalGids: [0, 1], home: '/root' }],
    ['me', { uid: 1000, gid: 1000, additionalGids: [1000, 1, 999], home: '/home/me' }],
    ['1000', { uid: 1000, gid: 1000, additionalGids: [1000, 1, 999], home: '/home/me' }],
    ['me:docker', { uid: 1000, gid: 999, additionalGids: [999], home: '/home/me' }],
    ['me:5', { uid: 1000, gid: 5, additionalGids: [5], home: '/home/me' }],
    ['5000', { uid: 5000, gid: 0, additionalGids: [0], home: '/' }],
    ['5000:6000', { uid: 5000, gid: 6000, additionalGids: [6000], home: '/' }],
    ['homeless', { uid: 50, gid: 60, additionalGids: [60], home: '/' }],
    ['4294967294', { uid: 4294967294, gid: 0, additionalGids: [0], home: '/' }],
  ])('%j', (user, expected) => {
    expect(resolveUser(user, passwd, group)).toEqual(expected);
  });

  test('never looks a number up as a name', () => {
    expect(resolveUser('1234', passwd, group)).toEqual({ uid: 1234, gid: 0, additionalGids: [0], home: '/' });
    expect(resolveUser('5:999999', passwd, group).gid).toBe(999999);
  });

  test('needs no files for numbers', () => {
    expect(resolveUser('', undefined, undefined)).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: '/' });
    expect(resolveUser('7:8', undefined, undefined)).toMatchObject({ uid: 7, gid: 8 });
  });

  test.each([
    ['nobody', 'cannot run as "nobody": there is no user "nobody": the image has no such user in its /etc/passwd'],
    ['me:nogroup', 'there is no group "nogroup": the image has no such group in its /etc/group'],
    ['4294967295', 'must have ids from 0 to 4294967294'],
    ['4294967296', 'must have ids from 0 to 4294967294'],
    ['0:99999999999', 'must have ids from 0 to 4294967294'],
    ['a:b:c', 'must be USER or USER:GROUP'],
    [':', 'on both sides of ":"'],
    ['me:', 'on both sides of ":"'],
    ['-1', 'must have names or numbers'],
    ['me\n', 'must have names or numbers'],
  ])('refuses %j', (user, message) => {
    expect(() => resolveUser(user, passwd, group)).toThrow(message);
    expect(() => resolveUser(user, passwd, group)).toThrow(RuntsError);
  });

  test('says when the image has no such file at all', () => {
    expect(() => resolveUser('me', undefined, group)).toThrow('the image has no /etc/passwd');
    expect(() => resolveUser('5:me', passwd, undefined)).toThrow('the image has no /etc/group');
  });

  test('gives valid ids or an ERR_SPEC, whatever is in the image', () => {
    const field = fc.oneof(
      fc.constantFrom('me', '0', '4294967295', '-1', '99999999999999', '', '1e3', '__proto__'),
      fc.string(),
    );
    const file = fc.option(
      fc.oneof(
        fc.string(),
        fc.array(fc.array(field, { maxLength: 8 }).map((fields) => fields.join(':'))).map((lines) => lines.join('\n')),
      ),
      { nil: undefined },
    );
    const user = fc.oneof(
      fc.string(),
      fc.array(field, { maxLength: 3 }).map((parts) => parts.join(':')),
    );
    fc.assert(
      fc.property(user, file, file, (name, users, groups) => {
        try {
          const { uid, gid, additionalGids } = resolveUser(name, users, groups);
          for (const id of [uid, gid, ...additionalGids]) {
            expect(Number.isInteger(id) && id >= 0 && id <= 4294967294).toBe(true);
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_SPEC' });
          expect(RuntsError.is(error)).toBe(true);
        }
      }),
      { seed: 9, numRuns: 5000 },
    );
  });
});

describe('the files of an image', () => {
  test('are read around their malformed lines', () => {
    const text = [
      '# a comment',
      '',
      ':x:1:1::/:',
      'short',
      'a:x:1',
      'b:x:-1:1::/:',
      'c:x:1:4294967295::/:',
      'd:x:01x:1::/:',
      'e:x:1:2:e:/home/e:/bin/sh\r',
      `long:x:1:1:${'y'.repeat(100_000)}:/:`,
      'nul\0:x:1:1::/:',
      'f:x:3:4',
    ].join('\n');
    expect(parsePasswd(text)).toEqual([
      { name: 'e', uid: 1, gid: 2, home: '/home/e' },
      { name: 'f', uid: 3, gid: 4, home: '' },
    ]);
  });
  test('give the members of a group without empty ones', () => {
    expect(parseGroup('a:x:1:me,,you,\nb:x:99999999999:me\nc:x:2')).toEqual([
      { name: 'a', gid: 1, members: ['me', 'you'] },
      { name: 'c', gid: 2, members: [] },
    ]);
  });
});

describe('parseSubordinate', () => {
  const text = 'me:100000:65536\nyou:165536:65536\n1000:300000:1000\nme:4294967290:10\nme:x:5\nme:5:0\nme:7\n';
  test('finds a user by name and by number, in the order of the file', () => {
    expect(parseSubordinate(text, 'me', 1000)).toEqual([
      { start: 100000, count: 65536 },
      { start: 300000, count: 1000 },
    ]);
  });
  test('finds a user without a name by number only', () => {
    expect(parseSubordinate(text, undefined, 1000)).toEqual([{ start: 300000, count: 1000 }]);
    expect(parseSubordinate(text, undefined, 5)).toEqual([]);
  });
});
