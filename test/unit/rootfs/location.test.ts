import { expect, test } from 'vitest';
import { cleanPath, locate, type Placed } from '../../../lib/rootfs/location.ts';

const mount = (path: string, fresh = true): Placed => ({
  path,
  register: `at ${path}`,
  fresh,
  fstype: fresh ? 'tmpfs' : undefined,
  readonly: false,
});

test('a path below a mount goes through that mount, and not through the image', () => {
  const placed = [mount('proc'), mount('dev'), mount('dev/pts')];
  expect(locate(placed, 'root', 'proc/kcore')).toEqual({ root: 'at proc', path: 'kcore' });
  expect(locate(placed, 'root', 'dev/pts/ptmx')).toEqual({ root: 'at dev/pts', path: 'ptmx' });
  expect(locate(placed, 'root', 'process')).toEqual({ root: 'root', path: 'process' });
  expect(locate(placed, 'root', 'dev')).toEqual({ root: 'at dev', path: '' });
});

test('a mount that a later one hides is not found', () => {
  expect(locate([mount('dev/pts'), mount('dev')], 'root', 'dev/pts/x')).toEqual({ root: 'at dev', path: 'pts/x' });
  expect(locate([mount('dev/pts'), mount('dev', false)], 'root', 'dev/pts/x')).toEqual({
    root: 'root',
    path: 'dev/pts/x',
  });
});

test('a bind is reached through what it lies on: its absolute links mean the root of the container', () => {
  expect(locate([mount('data', false)], 'root', 'data/x')).toEqual({ root: 'root', path: 'data/x' });
  const placed = [mount('proc'), mount('proc/sys', false)];
  expect(locate(placed, 'root', 'proc/sys/net')).toEqual({ root: 'at proc', path: 'sys/net' });
});

test('paths are cleaned as text', () => {
  expect(['/proc//./sys/', 'a/../../b', '/'].map(cleanPath)).toEqual(['proc/sys', 'b', '']);
});
