import { existsSync } from 'node:fs';
import { afterAll, beforeAll, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { Place } from './oci.ts';

const test = testIf('root', 'cgroup2', 'busybox');
let place: Place;

beforeAll(() => {
  place = new Place();
});
afterAll(() => place.remove());

const [path, major, minor] = existsSync('/dev/fuse')
  ? (['/dev/fuse', 10, 229] as const)
  : (['/dev/net/tun', 10, 200] as const);
const opens = ['sh', '-c', `exec 3<>${path} && echo open`];

test('rules about devices hold for exec, and update puts others in their place', async () => {
  const device = { type: 'c', path, major, minor, fileMode: 0o666 };
  const bundle = place.bundle('exec sleep 1000', ({ linux }) => {
    linux.devices = [device];
    linux.resources = {
      devices: [
        { allow: false, access: 'rwm' },
        { ...device, allow: true, access: 'rwm' },
      ],
    };
  });
  await place.ok('run', '-d', '-b', bundle, 'devices');
  expect(await place.ok('exec', 'devices', ...opens)).toBe('open\n');

  const rules = (allow: boolean) => JSON.stringify({ devices: [{ allow, type: 'c', major, minor, access: 'rwm' }] });
  expect(await place.runts(['update', '-r', '-', 'devices'], { input: rules(false) })).toMatchObject({
    code: 0,
    stderr: '',
  });
  const denied = await place.runts(['exec', 'devices', ...opens]);
  expect(denied.stderr).toContain('Operation not permitted');
  // An update of something else leaves them as they are.
  expect((await place.runts(['update', '-r', '-', 'devices'], { input: '{}' })).code).toBe(0);
  expect((await place.runts(['exec', 'devices', ...opens])).code).not.toBe(0);

  expect((await place.runts(['update', '-r', '-', 'devices'], { input: rules(true) })).code).toBe(0);
  expect(await place.ok('exec', 'devices', ...opens)).toBe('open\n');
  expect(await place.ok('exec', 'devices', 'head', '-c1', '/dev/zero')).toBe('\0');
});
