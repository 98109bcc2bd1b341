import { describe, expect, test } from 'vitest';
import { type SpawnAbility, spawnShape } from '../../../lib/namespaces/shape.ts';
import { namespaceFlags as flag, type NamespaceType } from '../../../lib/spec/names.ts';

const root = { privileged: true, reap: false };
const user = { privileged: false, reap: false };

/** `mount user pid=` is a new mount and user namespace, and a PID namespace that is joined. */
function shape(types: string, ability: SpawnAbility) {
  const namespaces = types.split(' ').map((word) => {
    const type = word.replace('=', '') as NamespaceType;
    return word.endsWith('=') ? { type, path: `/proc/7/ns/${type}` } : { type };
  });
  return spawnShape(namespaces, ability);
}

describe('what the clone makes', () => {
  test('all that is new, but for the cgroup namespace: only the init is in the cgroup', () => {
    const made = shape('mount user pid cgroup', root);
    expect(made).toMatchObject({ flags: flag.mount | flag.user | flag.pid, unshared: flag.cgroup, user: 'clone' });
    expect(made.forks).toBe(false);
  });

  test('for an ordinary user always a user namespace', () => {
    expect(shape('mount', user)).toMatchObject({ flags: flag.mount | flag.user, user: 'clone' });
    expect(shape('mount', user).created.has('user')).toBe(true);
    expect(shape('mount', root)).toMatchObject({ flags: flag.mount, user: 'host' });
    expect(shape('mount user=', user)).toMatchObject({ flags: 0, user: 'join' });
  });
});

describe('what the init makes', () => {
  test('beside a joined namespace, a new user namespace and what belongs to it', () => {
    const made = shape('mount user uts network=', root);
    expect(made).toMatchObject({ flags: 0, unshared: flag.mount | flag.uts, user: 'unshare', forks: false });
    expect(made.joined).toEqual([{ type: 'network', path: '/proc/7/ns/network', origin: '/linux/namespaces/3' }]);
  });

  test('in a joined user namespace all that is new, and a child for the PID namespace', () => {
    const made = shape('mount user= pid', user);
    expect(made).toMatchObject({ flags: 0, unshared: flag.mount | flag.pid, user: 'join', forks: true });
  });

  test('its user namespace, where something takes the rights of the host before', () => {
    expect(shape('mount user', { ...root, before: true })).toMatchObject({ flags: 0, user: 'unshare' });
    expect(shape('mount', { ...root, before: true })).toMatchObject({ user: 'host' });
  });
});

test('a PID namespace that is joined is entered by a child', () => {
  expect(shape('mount pid=', root)).toMatchObject({ flags: flag.mount, forks: true });
});

describe('a time namespace', () => {
  test('is entered by the child of a reaper', () => {
    expect(shape('mount time', { ...root, reap: true })).toMatchObject({ time: 'reaper', forks: false, unshared: 0 });
  });

  test('is entered by a child of the init, which makes the PID namespace, too: a process 1 has no sibling', () => {
    const made = shape('mount pid time', root);
    expect(made).toMatchObject({ time: 'unshared', forks: true, flags: flag.mount, unshared: flag.pid | flag.time });
  });

  test('has its clocks set before the user namespace is left in which that can be done', () => {
    expect(shape('mount user= time', { ...root, offsets: true })).toMatchObject({ time: 'first', forks: true });
    expect(shape('mount user= time', user)).toMatchObject({ time: 'unshared' });
    expect(() => shape('mount user= time', { ...user, offsets: true })).toThrow('cannot set the clocks');
  });
});

test.each([
  ['mount= user', '/linux/namespaces/0', 'cannot join a mount namespace'],
  ['pid', '/linux/namespaces', 'needs a new mount namespace'],
])('what cannot be had is refused: %s', (types, origin, message) => {
  expect(() => shape(types, root)).toThrow(
    expect.objectContaining({ code: 'ERR_UNSUPPORTED', origin, message: expect.stringContaining(message) }),
  );
});
