import { expect, test } from 'vitest';
import { deviceAccess } from '../../../lib/cgroups/devices.ts';
import { cgroupPath } from '../../../lib/cgroups/path.ts';
import type { DeviceRule } from '../../../lib/spec/types.ts';

test.each([
  [undefined, 'runts-x'],
  ['', 'runts-x'],
  ['/a/b', 'a/b'],
  ['a//b/', 'a/b'],
  ['user.slice:podman:abc', 'user.slice/podman-abc.scope'],
  [':runc:abc', 'runc-abc.scope'],
])('the place of a container that asks for %j is %s', (asked, path) => {
  expect(cgroupPath(asked, 'x')).toBe(path);
});

test.each(['/a/../../b', '..', '/', 'a\nb', 'x'.repeat(256)])('a place outside is refused: %j', (asked) => {
  expect(() => cgroupPath(asked, 'x')).toThrow(expect.objectContaining({ origin: '/linux/cgroupsPath' }));
});

const everything = (allow: boolean): DeviceRule => ({ allow, access: 'rwm' });
const world = { devices: [], isolated: true, canRemount: false };
const fuse = { type: 'c', major: 10, minor: 229 };

test('what Docker says about devices holds without a filter', () => {
  const rules = [
    everything(false),
    { allow: true, type: 'c', access: 'm' },
    { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
    { allow: true, type: 'c', major: 136, access: 'rwm' },
    { allow: false, ...fuse, access: 'rwm' },
  ];
  expect(deviceAccess({ ...world, rules, isolated: false })).toBe('listed');
  expect(deviceAccess({ ...world, rules })).toBe('listed');
});

test('only root without a user namespace can have every device', () => {
  expect(deviceAccess({ ...world, rules: [everything(true)], isolated: false })).toBe('all');
  expect(deviceAccess({ ...world, rules: [everything(true)] })).toBe('listed');
});

test('rules that only a filter could enforce are refused', () => {
  const check = (rules: DeviceRule[], canRemount = false) =>
    deviceAccess({ ...world, rules, isolated: false, canRemount });
  expect(() => check([everything(false), { allow: true, ...fuse }])).toThrow('the container is not given');
  expect(() => check([{ allow: false, type: 'c', major: 1, minor: 3 }])).toThrow('denies some devices');
  expect(() => check([everything(false)], true)).toThrow('CAP_SYS_ADMIN');
});
