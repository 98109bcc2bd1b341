import { describe, expect, test } from 'vitest';
import { localSource } from '../../../lib/volumes/local.ts';
import { checkVolumeName, newVolumeName } from '../../../lib/volumes/names.ts';

describe('names of volumes', () => {
  test.each(['a', 'db', '0', 'my-data_1.x', 'lock', 'A'.repeat(255)])('%.20s is one', (name) => {
    expect(checkVolumeName(name)).toBe(name);
  });
  test.each(['', '.', '..', '.lock', '-a', '_a', 'a/b', '/a', 'a b', 'a\0', 'é', 'A'.repeat(256), 7, undefined])(
    '%.20j is none',
    (name) => {
      expect(() => checkVolumeName(name)).toThrow(expect.objectContaining({ code: 'ERR_SPEC' }));
    },
  );
  test('that nobody gave have 64 hexadecimal digits, and are never the same', () => {
    const names = Array.from({ length: 100 }, newVolumeName);
    expect(names.every((name) => /^[0-9a-f]{64}$/.test(name))).toBe(true);
    expect(new Set(names).size).toBe(100);
  });
});

describe('options of the local driver', () => {
  test.each([
    [{}, { kind: 'directory' }],
    [
      { type: 'tmpfs', device: 'tmpfs' },
      { kind: 'tmpfs', words: ['nosuid', 'nodev'] },
    ],
    [
      { type: 'tmpfs', device: 'tmpfs', o: 'size=64m,uid=1000,mode=0770' },
      { kind: 'tmpfs', words: ['nosuid', 'nodev', 'size=64m', 'uid=1000', 'mode=0770'] },
    ],
    [
      { type: 'tmpfs', size: '64MB' },
      { kind: 'tmpfs', words: ['nosuid', 'nodev', 'size=64m'] },
    ],
    [
      { type: 'none', o: 'bind', device: '/srv' },
      { kind: 'bind', device: '/srv', words: [] },
    ],
    [
      { o: 'bind,ro', device: '/srv' },
      { kind: 'bind', device: '/srv', words: ['ro'] },
    ],
  ])('%j', (options, source) => {
    expect(localSource(options as Record<string, string>)).toEqual(source);
  });

  test.each([
    [{ typ: 'tmpfs' }, 'did you mean type?'],
    [{ o: 'bind' }, 'must be the absolute path of a directory'],
    [{ type: 'none', o: 'bind', device: 'srv' }, 'not "srv"'],
    [{ type: 'none', device: '/srv' }, 'must have "bind"'],
    [{ type: 'none', o: 'bind,upperdir=/etc', device: '/srv' }, 'no option "upperdir=/etc"'],
    [{ type: 'tmpfs', o: 'size=banana' }, 'no option "size=banana"'],
    [{ type: 'tmpfs', size: 'banana' }, 'must be a size'],
    [{ device: '/dev/sda1' }, '/options/type: is missing'],
  ])('%j is wrong, and it is said how', (options, message) => {
    const make = () => localSource(options as unknown as Record<string, string>);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_SPEC', message: expect.stringContaining(message) }));
  });

  test('everything that is wrong is told at once', () => {
    const make = () => localSource({ typ: 'x', type: 'tmpfs', o: 'a,b' });
    expect(make).toThrow(
      expect.objectContaining({ issues: [expect.anything(), expect.anything(), expect.anything()] }),
    );
  });

  test('what nothing here can do is said, with what to do instead', () => {
    for (const options of [{ type: 'nfs', o: 'addr=1.2.3.4', device: ':/x' }, { size: '10g' }]) {
      const make = () => localSource(options as unknown as Record<string, string>);
      expect(make).toThrow(
        expect.objectContaining({ code: 'ERR_UNSUPPORTED', hint: expect.stringContaining('o=bind') }),
      );
    }
  });
});
