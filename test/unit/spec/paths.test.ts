import { posix } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { normalizePath } from '../../../lib/spec/paths.ts';

test('a path is what it comes to from the root, whatever dots and slashes it has', () => {
  const name = fc.constantFrom('', '.', '..', '...', '.a', 'a', 'a.', '..a', 'b');
  fc.assert(
    fc.property(fc.array(name), fc.boolean(), (names, isAbsolute) => {
      const path = `${isAbsolute ? '/' : ''}${names.join('/')}`;
      expect(normalizePath(path)).toBe(posix.resolve('/', path));
    }),
    { numRuns: 2000, seed: 1 },
  );
});
