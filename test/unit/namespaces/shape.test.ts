import { expect, test } from 'vitest';
import { spawnShape } from '../../../lib/namespaces/shape.ts';

const ability = { privileged: true, reap: true };

test('new namespaces are flags of the clone, but for time', () => {
  const shape = spawnShape([{ type: 'mount' }, { type: 'user' }, { type: 'time' }], ability);
  expect(shape).toMatchObject({ flags: 0x10020000, time: true, joined: [] });
});

test('a network namespace is joined by path', () => {
  const shape = spawnShape([{ type: 'mount' }, { type: 'network', path: '/run/netns/x' }], ability);
  expect(shape.flags).toBe(0x20000);
  expect(shape.joined).toEqual([{ type: 'network', path: '/run/netns/x', origin: '/linux/namespaces/1' }]);
  expect(shape.created.has('network')).toBe(false);
});

test.each([
  ['pid', [{ type: 'mount' }, { type: 'pid', path: '/proc/1/ns/pid' }], '/linux/namespaces/1'],
  ['new user', [{ type: 'mount' }, { type: 'user' }, { type: 'ipc', path: '/x' }], '/linux/namespaces/2'],
  ['new mount', [{ type: 'user' }], '/linux/namespaces'],
] as const)('what cannot be had is refused: %s', (_, namespaces, origin) => {
  expect(() => spawnShape(namespaces, ability)).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED', origin }));
});

test('an ordinary user needs a user namespace, and a time namespace needs a reaper', () => {
  expect(() => spawnShape([{ type: 'mount' }], { privileged: false, reap: true })).toThrow('new user namespace');
  expect(() => spawnShape([{ type: 'mount' }, { type: 'time' }], { privileged: true, reap: false })).toThrow('child');
});
