import { expect, test } from 'vitest';
import { unescaped } from '../../../lib/spec/mountinfo.ts';

test.each([
  ['/proc', '/proc'],
  ['/mnt/a\\040b', '/mnt/a b'],
  ['/mnt/a\\134040b', '/mnt/a\\040b'],
  ['/mnt/a\\011b\\012', '/mnt/a\tb\n'],
  ['', ''],
])('%j of mountinfo is the path %j', (written, path) => {
  expect(unescaped(written)).toBe(path);
});
