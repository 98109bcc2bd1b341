import { expect, test } from 'vitest';
import { deviceRules } from '../../../lib/cgroups/device-rules.ts';

test('the container’s own rules come after those for its nodes, and before what every container may use', () => {
  const deny = { allow: false, access: 'rwm' };
  const rules = deviceRules({
    namespaces: [],
    devices: [
      { type: 'u', path: '/dev/fuse', major: 10, minor: 229 },
      { type: 'p', path: '/dev/pipe' },
    ],
    resources: { devices: [deny] },
  });
  expect(rules.slice(0, 2)).toEqual([{ allow: true, type: 'c', major: 10, minor: 229, access: 'rwm' }, deny]);
  expect(rules.slice(2)).toContainEqual({ allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' });
  expect(rules.slice(2).every(({ allow }) => allow)).toBe(true);
});
