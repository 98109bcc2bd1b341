import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deviceAccess } from '../../../lib/cgroups/devices.ts';
import { cgroupPlace, type Place } from '../../../lib/cgroups/path.ts';
import type { CgroupFacts } from '../../../lib/plan/facts.ts';
import type { DeviceRule } from '../../../lib/spec/types.ts';
import { facts } from '../../plans/requests.ts';

const service = '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service';
const root = facts('root').cgroup;
const rootless = facts('rootless').cgroup;
const nowhere: CgroupFacts = { ...rootless, parent: undefined, controllers: [] };

test.each([
  [undefined, '/sys/fs/cgroup/x', `${service}/x`],
  ['', '/sys/fs/cgroup/x', `${service}/x`],
  ['/a/b', '/sys/fs/cgroup/a/b', '/sys/fs/cgroup/a/b'],
  ['a//b/', '/sys/fs/cgroup/a/b', `${service}/a/b`],
  ['/a/../../b', '/sys/fs/cgroup/b', '/sys/fs/cgroup/b'],
  ['../../b/.', '/sys/fs/cgroup/b', `${service}/b`],
  ['a:b:c', '/sys/fs/cgroup/a:b:c', `${service}/a:b:c`],
])('who asks for %j gets %s as root, and %s as a user', (asked, asRoot, asUser) => {
  const where = ({ parent, path }: Place) => `${parent}/${path}`;
  expect(where(cgroupPlace(asked, 'x', root)!)).toBe(asRoot);
  expect(where(cgroupPlace(asked, 'x', rootless)!)).toBe(asUser);
});

test('an absolute path below what is delegated is touched from there down only', () => {
  const asked = `${service.replace('/sys/fs/cgroup', '')}/a/b`;
  expect(cgroupPlace(asked, 'x', rootless)).toEqual({ parent: service, path: 'a/b' });
});

test('where nothing is delegated there is a place for who asks for none, or for an absolute one', () => {
  expect(cgroupPlace(undefined, 'x', nowhere)).toBeUndefined();
  expect(cgroupPlace('/a', 'x', nowhere)).toEqual({ parent: '/sys/fs/cgroup', path: 'a' });
  expect(() => cgroupPlace('a', 'x', nowhere)).toThrow(/permission denied/);
});

test('without cgroup v2 a place is refused, with the reason', () => {
  const legacy: CgroupFacts = { ...nowhere, mode: 'legacy', mount: undefined };
  expect(() => cgroupPlace('/a', 'x', legacy)).toThrow(
    expect.objectContaining({ message: expect.stringContaining('only cgroup v1'), origin: '/linux/cgroupsPath' }),
  );
});

test.each(['..', '/', '/..', 'a\nb', 'a\0b', 'x'.repeat(256), 'é'.repeat(128)])('no place: %j', (asked) => {
  expect(() => cgroupPlace(asked, 'x', root)).toThrow(expect.objectContaining({ origin: '/linux/cgroupsPath' }));
});

test('no path whatever leads out of the hierarchy', () => {
  const part = fc.constantFrom('..', '.', '', 'a', 'b', '...');
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), fc.boolean(), (parts, absolute) => {
      const asked = `${absolute ? '/' : ''}${parts.join('/')}`;
      try {
        const place = cgroupPlace(asked, 'x', rootless)!;
        const names = place.path.split('/');
        expect(names.every((name) => name !== '' && name !== '.' && name !== '..')).toBe(true);
        expect([service, '/sys/fs/cgroup']).toContain(place.parent);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_SPEC' });
      }
    }),
    { seed: 3 },
  );
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
