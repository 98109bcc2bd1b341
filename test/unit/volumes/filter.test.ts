import { expect, test } from 'vitest';
import { isMeant, parseVolumeFilters } from '../../../lib/volumes/filter.ts';
import { checkLimits, mustHaveRoom } from '../../../lib/volumes/limits.ts';
import type { Volume } from '../../../lib/volumes/volume.ts';

const volume: Volume = {
  ...{ name: 'data-1', driver: 'local', mountpoint: '/x', options: {}, labels: { a: '1', b: '' }, scope: 'local' },
  ...{ created: new Date(0), anonymous: false, containers: ['one'] },
  [Symbol.asyncDispose]: async () => undefined,
};
const known = ['dangling', 'driver', 'name', 'label', 'all'];

test.each([
  [['name=data'], true],
  [['name=other'], false],
  [['driver=local'], true],
  [['driver=nfs'], false],
  [['dangling=true'], false],
  [['dangling=0'], true],
  [['label=a'], true],
  [['label=a=1'], true],
  [['label=a=2'], false],
  [['label=b='], true],
  [['label=a', 'label=c'], false],
  [['label!=c'], true],
  [['label!=a'], false],
  [['label=constructor'], false],
])('%j: %s', (filters, meant) => {
  expect(isMeant(volume, parseVolumeFilters(filters, known))).toBe(meant);
});

test.each([['size=1'], ['dangling=maybe'], ['name!=x'], ['label'], ['']])('%j is no filter', (filter) => {
  expect(() => parseVolumeFilters([filter], known)).toThrow(expect.objectContaining({ code: 'ERR_SPEC' }));
});

test('the tightest limit holds, of the store and of the driver', () => {
  const room = (count: number, ofDriver: number, ...limits: Parameters<typeof mustHaveRoom>[1]) =>
    mustHaveRoom({ name: 'x', driver: 'local', count, ofDriver }, limits);
  room(9, 9, { max: 10 });
  room(9_999, 9_999);
  expect(() => room(10_000, 0)).toThrow('the store has 10000 of at most 10000 volumes');
  expect(() => room(10, 0, { max: 10 }, {})).toThrow('the store has 10 of at most 10 volumes');
  expect(() => room(5, 0, { max: 10 }, { max: 5 })).toThrow('of at most 5');
  expect(() => room(5, 2, { maxByDriver: { local: 2 } })).toThrow('2 of at most 2 volumes of the driver local');
  room(5, 2, { maxByDriver: { other: 2 } });
  expect(() => room(0, 0, { max: 0 })).toThrow('0 of at most 0');
});

test('limits that are none are refused, all of them', () => {
  const wrong = { max: -1, maxByDriver: { local: 1.5 } };
  expect(() => checkLimits(wrong)).toThrow(expect.objectContaining({ issues: [expect.anything(), expect.anything()] }));
});
