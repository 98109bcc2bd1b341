import { Builder } from '../program/builder.ts';
import type { IdMap, Maps, Segment } from './plan.ts';

/** The sync point at which a zygote says that it is ready. */
export const zygoteTag = 5;

const origin = 'zygote';

/**
 * The program of a zygote, in a user namespace of its own that has these id maps: it clones inits, each into a user namespace
 * below with the same ids, until its owner is gone. It keeps no capability but those to write such maps.
 */
export function zygoteProgram({ uids, gids }: Maps): Segment {
  const p = new Builder();
  p.op('become_root', {}, origin);
  // Not in a directory that somebody wants to unmount: it stays where it is, and its owner may go elsewhere.
  p.op('chdir', { path: '/' }, origin);
  // A Ctrl-C is for its owner, which ends it by the channel.
  p.op('new_session', {}, origin);
  p.op('open', { dst: 'procfs', path: '/proc' }, origin);
  p.op('capabilities', { effective: mappers, permitted: mappers, inheritable: 0n, ambient: 0n }, origin);
  p.op('sync', { tag: zygoteTag }, origin);
  p.op('clone_inits', { proc: 'procfs', uids: sameIds(uids), gids: sameIds(gids) }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** How long a zygote that nobody asks for anything stays: who executes commands now and then has no use for it. */
export const idleMs = 1000;

/**
 * The program of one in our own namespaces, with all that we may do: its inits are copies of it, which begin without an exec. It
 * hears nothing but that it is to make one, so that there is nothing of one in the next.
 */
export function copyingProgram(): Segment {
  const p = new Builder();
  p.op('chdir', { path: '/' }, origin);
  p.op('new_session', {}, origin);
  p.op('sync', { tag: zygoteTag }, origin);
  p.op('fork_inits', { idle_ms: idleMs }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** CAP_SETGID and CAP_SETUID; and CAP_SETFCAP, since files that root of the namespace above gives capabilities are affected. */
const mappers = (1n << 6n) | (1n << 7n) | (1n << 31n);

/** What the zygote has as an id, its containers have as the same one. */
const sameIds = (maps: readonly IdMap[]) =>
  maps.map(({ container, size }) => `${container} ${container} ${size}\n`).join('');
