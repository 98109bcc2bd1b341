import { expect, test } from 'vitest';
import { idMaps, isMapped } from '../../../lib/namespaces/maps.ts';
import { facts } from '../../plans/requests.ts';

const root = facts('root');
const rootless = facts('rootless');
const single = facts('single-id');

test('an ordinary user without subordinate ids maps itself to root, and setgroups is denied', () => {
  const maps = idMaps({}, single);
  expect(maps).toMatchObject({ by: 'write', setgroups: 'deny', uids: [{ container: 0, host: 1000, size: 1 }] });
});

test('subordinate ranges are used in turn, up to 65536 ids', () => {
  const ranges = [
    { start: 100000, count: 1000 },
    { start: 500000, count: 100000 },
  ];
  const maps = idMaps({}, { ...rootless, subordinate: { uids: ranges, gids: ranges.slice(0, 1) } });
  expect(maps.by).toBe('newuidmap');
  expect(maps.uids).toEqual([
    { container: 0, host: 1000, size: 1 },
    { container: 1, host: 100000, size: 1000 },
    { container: 1001, host: 500000, size: 64535 },
  ]);
  expect(maps.gids.reduce((sum, { size }) => sum + size, 0)).toBe(1001);
});

test('a range that is named twice, or has the user itself in it, is mapped once', () => {
  const range = { start: 100000, count: 1000 };
  const around = { start: 999, count: 3 };
  const maps = idMaps({}, { ...rootless, subordinate: { uids: [range, around, range], gids: [range] } });
  expect(maps.uids.map(({ container, host, size }) => [container, host, size])).toEqual([
    [0, 1000, 1],
    [1, 100000, 1000],
    [1001, 999, 1],
    [1002, 1001, 1],
  ]);
});

test('root gives its containers a range that nobody has, never its own ids', () => {
  const { uids, gids, by } = idMaps({}, root);
  expect(by).toBe('write');
  expect(uids).toEqual([{ container: 0, host: 2_000_000_000, size: 65536 }]);
  expect(gids).toEqual(uids);
});

test('a range that is meant for containers comes first, one that is too small does not', () => {
  const uids = [
    { start: 100000, count: 65535 },
    { start: 300000, count: 65536 },
  ];
  expect(idMaps({}, { ...root, subordinate: { uids, gids: [] } }).uids[0]?.host).toBe(300000);
});

test('root of a container with one id maps that id, with setgroups denied', () => {
  const own = [{ start: 0, count: 1 }];
  const maps = idMaps({}, { ...root, available: { uids: own, gids: own } });
  expect(maps).toMatchObject({ setgroups: 'deny', by: 'write', uids: [{ container: 0, host: 0, size: 1 }] });
});

test('root of a container with 65536 ids gives itself and the others, each once', () => {
  const all = [{ start: 0, count: 65536 }];
  const maps = idMaps({}, { ...root, available: { uids: all, gids: all } });
  expect(maps.uids).toEqual([
    { container: 0, host: 0, size: 1 },
    { container: 1, host: 1, size: 65535 },
  ]);
  expect(maps.setgroups).toBe('allow');
});

test('asked maps are taken as they are; an ordinary user needs newuidmap for other ids than its own', () => {
  const own = [{ containerID: 0, hostID: 1000, size: 1 }];
  const other = [{ containerID: 0, hostID: 5000, size: 10 }];
  expect(idMaps({ uidMappings: own, gidMappings: own }, single).by).toBe('write');
  expect(idMaps({ uidMappings: other, gidMappings: other }, rootless).by).toBe('newuidmap');
  expect(() => idMaps({ uidMappings: other, gidMappings: other }, single)).toThrow('can map no id but its own');
  const high = [{ containerID: 1000, hostID: 1000, size: 1 }];
  expect(() => idMaps({ uidMappings: high, gidMappings: own }, root)).toThrow('uidMappings does not map id 0');
});

test('who gets other users and keeps its one group has setgroups denied: newgidmap would do so, too', () => {
  const own = [{ containerID: 0, hostID: 1000, size: 1 }];
  const more = [...own, { containerID: 1, hostID: 100000, size: 10 }];
  expect(idMaps({ uidMappings: more, gidMappings: own }, rootless)).toMatchObject({
    by: 'newuidmap',
    setgroups: 'deny',
  });
  expect(idMaps({ uidMappings: more, gidMappings: more }, rootless).setgroups).toBe('allow');
});

test('an id is mapped from the first of a line to the last', () => {
  const maps = [{ container: 10, host: 0, size: 2 }];
  expect([9, 10, 11, 12].map((id) => isMapped(maps, id))).toEqual([false, true, true, false]);
});
