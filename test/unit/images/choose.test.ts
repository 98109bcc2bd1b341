import { expect, test } from 'vitest';
import { isNamed } from '../../../lib/images/choose.ts';

test.each([
  ['debian', 'docker.io/library/debian:latest'],
  ['debian:12', 'docker.io/library/debian:12'],
  ['user/app:1', 'docker.io/user/app:1'],
  ['localhost:5000/app', 'localhost:5000/app:latest'],
  ['v1', 'v1'],
])('%s names %s', (asked, name) => {
  expect(isNamed(asked, ['other', name])).toBe(true);
});

test.each([
  ['debian', 'docker.io/user/debian:latest'],
  ['debian:12', 'debian:13'],
  ['app', 'localhost:5000/app:latest'],
])('%s does not name %s', (asked, name) => {
  expect(isNamed(asked, [name])).toBe(false);
});
