import type { IdMap, Plan } from '../plan/plan.ts';

/** A user of a container in ids of the host, where we may give files to it; undefined where that is not ours to do. */
export function pipeOwner(
  { maps }: Pick<Plan, 'maps'>,
  { uid, gid }: { readonly uid: number; readonly gid: number },
  privileged: boolean,
): { uid: number; gid: number } | undefined {
  if (!privileged || maps === undefined) return undefined;
  const [hostUid, hostGid] = [hostId(maps.uids, uid), hostId(maps.gids, gid)];
  return hostUid === undefined || hostGid === undefined ? undefined : { uid: hostUid, gid: hostGid };
}

function hostId(maps: readonly IdMap[], id: number): number | undefined {
  const map = maps.find(({ container, size }) => id >= container && id - container < size);
  return map && map.host + id - map.container;
}
