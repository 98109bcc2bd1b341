import { createHash } from 'node:crypto';
import type { IdMap, Maps } from '../plan/plan.ts';

/** The row of a map that has an id, on either side of it. */
export const rowOf = (map: readonly IdMap[], id: number, side: 'container' | 'host') =>
  map.find((row) => id >= row[side] && id - row[side] < row.size);

/** A name for ids: others have another one. */
export const keyOf = ({ uids, gids, setgroups }: Maps): string =>
  createHash('sha256').update(JSON.stringify({ uids, gids, setgroups })).digest('hex').slice(0, 12);
