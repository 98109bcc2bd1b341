// Maps of ids: what a configuration asks for, what is made where it asks for none, and the option of a mount.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { idMaps, isMapped } from '../../lib/namespaces/maps.ts';
import type { Facts, IdRange } from '../../lib/plan/facts.ts';
import type { IdMap } from '../../lib/plan/plan.ts';
import { idMapFaults, idMapLinesMax, idmapOption } from '../../lib/spec/id-maps.ts';
import type { IdMapping } from '../../lib/spec/types.ts';
import { facts } from '../plans/requests.ts';
import { runs } from './runs.ts';

/** Ids that have neighbours, at both ends of what there is. */
const id = fc.oneof(fc.nat(12), fc.integer({ min: 0xffff_fff0, max: 0xffff_fffe }));
const size = fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constantFrom(0xffff_fff0, 0xffff_ffff));
const mapping = fc.record<IdMapping>({ containerID: id, hostID: id, size });

/** Whether the kernel takes a map: no id twice on either side, none beyond the last (user_namespaces(7)). */
function isTaken(lines: readonly IdMapping[]): boolean {
  const sides = [lines.map((line) => line.containerID), lines.map((line) => line.hostID)];
  return sides.every((starts) => {
    const parts = starts.map((start, i) => [start, start + lines[i]!.size] as const).sort(([a], [b]) => a - b);
    return parts.every(([start, end], i) => end <= 0xffff_ffff && (i === 0 || parts[i - 1]![1] <= start));
  });
}

test('a map is refused if and only if the kernel would not take it', () => {
  fc.assert(
    fc.property(fc.array(mapping, { maxLength: 5 }), (lines) => {
      expect(idMapFaults(lines, '/linux/uidMappings').length === 0).toBe(isTaken(lines));
    }),
    runs(2000),
  );
});

test('a map has as many lines as the kernel takes', () => {
  const lines = (count: number) => Array.from({ length: count }, (_, i) => ({ containerID: i, hostID: i, size: 1 }));
  expect(idMapFaults(lines(idMapLinesMax), '')).toEqual([]);
  expect(idMapFaults(lines(idMapLinesMax + 1), '')).not.toEqual([]);
});

const range = fc.record<IdRange>({
  start: fc.integer({ min: 1, max: 4_000_000_000 }),
  count: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 200_000 })),
});
/** As /etc/subuid may have them: in any order, near each other or over each other. */
const ranges = fc.oneof(
  { weight: 4, arbitrary: fc.array(range, { maxLength: 6 }) },
  {
    weight: 4,
    arbitrary: fc.array(fc.record<IdRange>({ start: fc.nat(40), count: fc.integer({ min: 1, max: 20 }) }), {
      maxLength: 8,
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 300, max: 400 })
      .map((n) => Array.from({ length: n }, (_, i) => ({ start: 5000 + 3 * i, count: 2 }))),
  },
);
const where = fc.constantFrom('root', 'rootless', 'single-id');

test('a map that nobody asked for is one that the kernel takes, of ids that we have, with a root', () => {
  fc.assert(
    fc.property(where, ranges, ranges, fc.option(ranges), (name, uids, gids, available) => {
      const known = facts(name as 'root');
      const has: Facts = {
        ...known,
        subordinate: { uids, gids },
        ...(available !== null && { available: { uids: available, gids: available } }),
      };
      const maps = idMaps({}, has);
      for (const [lines, own, theirs] of [
        [maps.uids, has.uid, uids],
        [maps.gids, has.gid, gids],
      ] as const) {
        const asked = lines.map(({ container, host, size }) => ({ containerID: container, hostID: host, size }));
        expect(idMapFaults(asked, '')).toEqual([]);
        expect(isMapped(lines, 0)).toBe(true);
        if (!has.privileged)
          for (const line of lines) expect(isOf(line, [{ start: own, count: 1 }, ...theirs])).toBe(true);
      }
    }),
    runs(150),
  );
});

const isOf = ({ host, size }: IdMap, known: readonly IdRange[]) =>
  known.some(({ start, count }) => host >= start && host + size <= start + count);

test('a map that was asked for is taken as it is, or refused in a sentence', () => {
  fc.assert(
    fc.property(where, fc.array(mapping, { maxLength: 4 }), fc.array(mapping, { maxLength: 4 }), (name, uids, gids) => {
      fc.pre(uids.length + gids.length > 0);
      try {
        const maps = idMaps({ uidMappings: uids, gidMappings: gids }, facts(name as 'root'));
        expect(maps.uids.map(({ container, host, size }) => [container, host, size])).toEqual(
          uids.map(({ containerID, hostID, size }) => [containerID, hostID, size]),
        );
      } catch (error) {
        expect(RuntsError.is(error)).toBe(true);
      }
    }),
    runs(600),
  );
});

test('the idmap option of a mount is read as it was written, and anything else is none', () => {
  const line = fc.tuple(fc.boolean(), mapping);
  const lines = fc.array(line, { minLength: 1, maxLength: 3 });
  const text = (kind: string, all: readonly [boolean, IdMapping][]) =>
    `${kind}=${all.map(([at, { containerID, hostID, size }]) => `${at ? '@' : ''}${containerID}-${hostID}-${size}`).join('#')}`;
  fc.assert(
    fc.property(lines, lines, fc.boolean(), (uids, gids, swapped) => {
      const parts = [text('uids', uids), text('gids', gids)];
      const read = idmapOption((swapped ? parts.reverse() : parts).join(';'));
      const fine = [uids, gids].every((all) => isTaken(all.map(([, mapping]) => mapping)));
      expect(read !== undefined).toBe(fine);
      const form = ([relative, { containerID, hostID, size }]: readonly [boolean, IdMapping]) => ({
        ...{ container: containerID, host: hostID, size, relative },
      });
      if (read !== undefined) expect(read).toEqual({ uids: uids.map(form), gids: gids.map(form) });
    }),
    runs(800),
  );
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(...'uigds=@-#;019'), maxLength: 30 }),
      (any) => void idmapOption(any),
    ),
    runs(1000),
  );
});
