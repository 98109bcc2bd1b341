import { openCgroup } from '../../host/cgroups/open.ts';
import { removeTrees } from '../../host/layers.ts';
import type { Home } from '../home.ts';
import { removeFiles } from './create.ts';
import { type DetachedRecord, type DetachedState, markRemoved, type Place } from './record.ts';

/** Removes what there is for a container that does not run. With its lock. Interrupted, it can be done again. */
export async function removeDetached(
  home: Home,
  place: Place,
  { record, state }: { readonly record: DetachedRecord; readonly state: DetachedState },
  { volumes }: { readonly volumes: boolean },
): Promise<void> {
  const { host } = home;
  if (state.cgroup !== undefined) await openCgroup(host, state.cgroup).remove();
  if (record.unpacked !== undefined) {
    const maps = record.unpacked === 'none' ? undefined : record.unpacked;
    const all = `${host.environment.dataDirectory}/containers`;
    if ((await host.files.kind(`${all}/${record.id}`)) !== undefined) await removeTrees(host, all, [record.id], maps);
  }
  await markRemoved(host, place, record);
  await home.volumes.forget(record.volumes.map(({ name, anonymous }) => ({ name, remove: anonymous && volumes })));
  await removeFiles(home, place);
}
