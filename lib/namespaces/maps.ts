import { RuntsError } from '../errors.ts';
import type { Facts, IdRange } from '../plan/facts.ts';
import type { IdMap, Maps } from '../plan/plan.ts';
import { idMapLinesMax } from '../spec/id-maps.ts';
import type { IdMapping } from '../spec/types.ts';

/** How many ids a container gets where there is a choice: all that fit in 16 bits, `nobody` (65534) among them. */
const idsWanted = 65536;

/**
 * Where the ids of root's containers begin when /etc/subuid says nothing. Above what useradd hands out as subordinate
 * ids (login.defs: up to 600,100,000) and what systemd gives to its containers (up to 1,879,048,191), below the ranges
 * from 2,147,352,576 on which systemd keeps for itself and those that do not fit a signed int. Never the host's uid 0:
 * root in a container would be root on every file that it gets to see.
 */
const fixedBase = 2_000_000_000;

export interface AskedMaps {
  readonly uidMappings?: readonly IdMapping[] | undefined;
  readonly gidMappings?: readonly IdMapping[] | undefined;
}

/** The id maps of the new user namespace: as asked, or as many ids as this user may map. */
export function idMaps(asked: AskedMaps, facts: Facts): Maps {
  const uids = asked.uidMappings ?? [];
  const gids = asked.gidMappings ?? [];
  if (uids.length > 0 || gids.length > 0) return askedMaps(uids, gids, facts);
  return facts.privileged ? rootMaps(facts) : userMaps(facts);
}

function askedMaps(uidMappings: readonly IdMapping[], gidMappings: readonly IdMapping[], facts: Facts): Maps {
  const uids = uidMappings.map(toIdMap);
  const gids = gidMappings.map(toIdMap);
  for (const [maps, origin] of [
    [uids, '/linux/uidMappings'],
    [gids, '/linux/gidMappings'],
  ] as const) {
    if (isMapped(maps, 0)) continue;
    throw new RuntsError('ERR_SPEC', `cannot set the container up: ${origin.slice(7)} does not map id 0`, {
      origin,
      issues: [{ path: origin, message: 'does not map id 0' }],
      hint: 'The container is set up by its own root: map an id of the host to containerID 0.',
    });
  }
  const origin = '/linux/uidMappings';
  if (facts.privileged) return { uids, gids, setgroups: 'allow', by: 'write', origin };
  if (isSingle(uids, facts.uid) && isSingle(gids, facts.gid)) {
    return { uids, gids, setgroups: 'deny', by: 'write', origin };
  }
  if (!hasSubordinate(facts)) {
    throw new RuntsError('ERR_UNSUPPORTED', 'an ordinary user can map no id but its own', {
      origin,
      hint: subordinateHint,
    });
  }
  // newgidmap gives groups away, but nobody who has only their own may leave it (CVE-2018-7169).
  return { uids, gids, setgroups: isSingle(gids, facts.gid) ? 'deny' : 'allow', by: 'newuidmap', origin };
}

/** What gives an ordinary user more ids than its own. */
export const subordinateHint =
  'Install newuidmap and newgidmap (package uidmap or shadow), and give this user ranges in /etc/subuid and /etc/subgid.';

const toIdMap = ({ containerID, hostID, size }: IdMapping): IdMap => ({ container: containerID, host: hostID, size });

const isSingle = (maps: readonly IdMap[], own: number) =>
  maps.length === 1 && maps[0]!.size === 1 && maps[0]!.host === own;

const hasSubordinate = ({ subordinate }: Facts) => subordinate.uids.length > 0 && subordinate.gids.length > 0;

function rootMaps(facts: Facts): Maps {
  const uids = rangeOfRoot(facts.subordinate.uids, facts.available?.uids);
  const gids = rangeOfRoot(facts.subordinate.gids, facts.available?.gids);
  if (uids === undefined || gids === undefined) return nestedMaps(facts);
  return { uids: [uids], gids: [gids], setgroups: 'allow', by: 'write', origin: 'default: id maps' };
}

function rangeOfRoot(ranges: readonly IdRange[], available: readonly IdRange[] | undefined): IdMap | undefined {
  const fixed = { start: fixedBase, count: idsWanted };
  const exists = ({ start }: IdRange) =>
    available === undefined ||
    available.some((range) => start >= range.start && start + idsWanted <= range.start + range.count);
  const range = [...ranges.filter(({ start, count }) => count >= idsWanted && start > 0), fixed].find(exists);
  return range && { container: 0, host: range.start, size: idsWanted };
}

/** Root of a container that has no range to give away: it gives itself, and the other ids that it has. */
function nestedMaps({ uid, gid, available }: Facts): Maps {
  const map = (own: number, ranges: readonly IdRange[]) => [
    { container: 0, host: own, size: 1 },
    ...consecutive(ranges, own),
  ];
  const uids = map(uid, available?.uids ?? []);
  const gids = map(gid, available?.gids ?? []);
  // Who has one group only has most likely been denied setgroups(2), and passes that on.
  return { uids, gids, setgroups: gids.length > 1 ? 'allow' : 'deny', by: 'write', origin: 'default: id maps' };
}

function userMaps(facts: Facts): Maps {
  const origin = 'default: id maps';
  const own = (host: number): IdMap => ({ container: 0, host, size: 1 });
  if (!hasSubordinate(facts)) {
    return { uids: [own(facts.uid)], gids: [own(facts.gid)], setgroups: 'deny', by: 'write', origin };
  }
  const { uids, gids } = facts.subordinate;
  return {
    uids: [own(facts.uid), ...consecutive(uids, facts.uid)],
    gids: [own(facts.gid), ...consecutive(gids, facts.gid)],
    setgroups: 'allow',
    by: 'newuidmap',
    origin,
  };
}

/** Ids from 1 on, taken from the ranges in turn: what the kernel takes beside a line of one's own id. */
function consecutive(ranges: readonly IdRange[], own: number): IdMap[] {
  const maps: IdMap[] = [];
  let container = 1;
  for (const { start, count } of disjoint(ranges, own).slice(0, idMapLinesMax - 1)) {
    const size = Math.min(count, idsWanted - container);
    if (size <= 0) break;
    maps.push({ container, host: start, size });
    container += size;
  }
  return maps;
}

/** Ranges without what an earlier one has, or is one's own: /etc/subuid may name a user twice, and the kernel no id. */
function disjoint(ranges: readonly IdRange[], own: number): IdRange[] {
  const taken: IdRange[] = [{ start: own, count: 1 }];
  for (const range of ranges) {
    const same = taken.filter((other) => overlap(range, other));
    taken.push(...same.reduce((parts, other) => parts.flatMap((part) => without(part, other)), [range]));
  }
  return taken.slice(1);
}

const overlap = (a: IdRange, b: IdRange) => a.start < b.start + b.count && b.start < a.start + a.count;

/** The parts of a range before and after another one. */
function without(range: IdRange, other: IdRange): IdRange[] {
  if (!overlap(range, other)) return [range];
  const otherEnd = other.start + other.count;
  const before = { start: range.start, count: other.start - range.start };
  const after = { start: otherEnd, count: range.start + range.count - otherEnd };
  return [before, after].filter(({ count }) => count > 0);
}

/** Whether an id inside stands for one outside. */
export function isMapped(maps: readonly IdMap[], id: number): boolean {
  return maps.some(({ container, size }) => id >= container && id - container < size);
}
