import { basename, dirname } from 'node:path';
import { removeTrees } from '../../lib/host/layers.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { createHost } from '../../lib/node/host.ts';
import { ownerMaps } from '../../lib/plan/keeper.ts';

/** Removes a directory in which layers were unpacked: their files belong to ids that only a user namespace has. */
export async function removeData(path: string): Promise<void> {
  const host = createHost();
  await removeTrees(host, dirname(path), [basename(path)], ownerMaps(undefined, await probeFacts(host)));
}
