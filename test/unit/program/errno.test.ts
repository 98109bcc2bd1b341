import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { errnoName, errnoNumber, errnoText } from '../../../lib/program/errno.ts';

test('every errno that Node knows here has the same number', () => {
  for (const [name, number] of Object.entries(constants.errno))
    expect([name, errnoNumber(name)]).toEqual([name, number]);
});

test("names and numbers are each other's inverse", () => {
  for (let number = 1; number <= 133; number++) {
    const name = errnoName(number);
    if (number === 41 || number === 58) expect(name).toBe(`errno ${number}`);
    else expect(errnoNumber(name)).toBe(number);
  }
  expect([errnoName(133), errnoName(0), errnoName(-1), errnoName(999)]).toEqual([
    'EHWPOISON',
    'errno 0',
    'errno -1',
    'errno 999',
  ]);
});

test('a common errno is explained, a rare one named', () => {
  expect(errnoText('EROFS')).toBe('the file system is read-only');
  expect(errnoText(2)).toBe('no such file or directory');
  expect(errnoText(121)).toBe('EREMOTEIO');
  expect(errnoText(999)).toBe('errno 999');
});

test('a name that is none is a bug of ours', () => {
  expect(() => errnoNumber('EFOO')).toThrow('EFOO is not the name of an errno');
});
