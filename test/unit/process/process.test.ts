import { expect, test } from 'vitest';
import { capabilitySets, reaperCapabilities } from '../../../lib/process/capabilities.ts';
import { commandFiles, environment } from '../../../lib/process/environment.ts';
import { identity, keepsGroups } from '../../../lib/process/identity.ts';
import { setRlimits } from '../../../lib/process/limits.ts';
import { Builder } from '../../../lib/program/builder.ts';

test('capability sets are exactly what is listed', () => {
  const sets = capabilitySets({ bounding: ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE'], effective: ['CAP_CHOWN'] });
  expect(sets).toEqual({ bounding: (1n << 40n) | 1n, effective: 1n, permitted: 0n, inheritable: 0n, ambient: 0n });
  expect(capabilitySets(undefined).bounding).toBe(0n);
  expect(reaperCapabilities).toBe(1n << 5n);
});

test('a command is looked for in the absolute directories of PATH', () => {
  expect(commandFiles(['sh'], ['PATH=/a:.::/b/:/a'])).toEqual(['/a/sh', '/b/sh']);
  expect(commandFiles(['./sh'], ['PATH=/a'])).toEqual(['./sh']);
  expect(commandFiles(['sh'], [])).toContain('/usr/bin/sh');
  expect(() => commandFiles(['sh'], ['PATH='])).toThrow(expect.objectContaining({ code: 'ERR_EXEC', exit: 127 }));
});

test('of a variable that is given twice the last value counts, PATH too', () => {
  expect(environment(['A=1', 'B=2', 'A=3=4', 'AB=', 'B'])).toEqual(['A=3=4', 'B', 'AB=']);
  expect(commandFiles(['sh'], ['PATH=/a', 'PATH=/b'])).toEqual(['/b/sh']);
});

const maps = {
  uids: [{ container: 0, host: 1000, size: 1 }],
  gids: [{ container: 0, host: 1000, size: 1 }],
  by: 'write',
  origin: '',
} as const;
const isMapped = (_: string, id: number) => id === 0;

test('a user that does not exist in the container is refused before anything is made', () => {
  const rules = { maps: { ...maps, setgroups: 'deny' as const }, isMapped, hint: 'get newuidmap' };
  expect(() => identity({ uid: 1000, gid: 0 }, rules)).toThrow(
    expect.objectContaining({ origin: '/process/user/uid', hint: 'get newuidmap' }),
  );
  expect(() => identity({ uid: 0, gid: 0, additionalGids: [0] }, rules)).toThrow('cannot set additional groups');
  expect(identity({ uid: 0, gid: 0 }, rules)).toMatchObject({ keepGroups: true, groups: new Uint8Array(0) });
  const nested = { maps: undefined, groupsDenied: true, isMapped: () => true, hint: '' };
  expect(identity({ uid: 0, gid: 0 }, nested).keepGroups).toBe(true);
});

test('groups can be those of whoever makes the container, whatever else is asked for', () => {
  const who = identity(
    { uid: 0, gid: 0, additionalGids: [5] },
    { maps: undefined, isMapped, hint: '', keepGroups: true },
  );
  expect(who).toMatchObject({ keepGroups: true, groups: new Uint8Array(0) });
  expect(keepsGroups({ 'run.oci.keep_original_groups': '1' })).toBe(true);
  expect([keepsGroups(undefined), keepsGroups({ 'run.oci.keep_original_groups': '0' })]).toEqual([false, false]);
});

test('groups are little-endian words', () => {
  const user = { uid: 4000000000, gid: 1, additionalGids: [1, 0x01020304] };
  const who = identity(user, { maps: undefined, isMapped, hint: '' });
  expect([...who.groups]).toEqual([1, 0, 0, 0, 4, 3, 2, 1]);
  expect(who).toMatchObject({ uid: 4000000000, keepGroups: false });
});

test('a limit of -1, or beyond 64 bits, is none', () => {
  const ops = new Builder();
  setRlimits(ops, [{ type: 'RLIMIT_NOFILE', soft: -1, hard: 2 ** 64 }]);
  expect(ops.segment().ops[0]?.operands).toEqual({ resource: 7, soft: (1n << 64n) - 1n, hard: (1n << 64n) - 1n });
  expect(() => setRlimits(ops, [{ type: 'RLIMIT_X', soft: 1, hard: 1 }])).toThrow('RLIMIT_X');
});
