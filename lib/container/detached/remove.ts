import { openCgroup } from '../../host/cgroups/open.ts';
import { errnoOf } from '../../host/failure.ts';
import { removeTrees } from '../../host/layers.ts';
import type { Home } from '../home.ts';
import { type DetachedRecord, type DetachedState, detachedRoot, markParts, type Place } from './record.ts';

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
  const left = record.volumes.map(({ name, anonymous }) => ({ name, anonymous: anonymous && volumes }));
  await markParts(host, place, { ...record, volumes: left });
  // Nothing uses anything for it any more.
  if ((await host.files.kind(place.record)) !== undefined) await host.files.removeFile(place.record);
  await home.volumes.forget(left.map(({ name, anonymous }) => ({ name, remove: anonymous })));
  await removeFiles(home, place);
}

/** Of a container that has no processes, and nothing outside of its directory. */
export async function removeFiles({ host }: Home, { id, directory }: Place): Promise<void> {
  const names: readonly string[] = await host.files.list(directory).catch(() => []);
  // The lock last: until then nobody else works here.
  for (const name of names) if (name !== 'lock') await host.files.removeFile(`${directory}/${name}`);
  if (names.includes('lock')) await host.files.removeFile(`${directory}/lock`);
  await host.files.removeDirectory(`${detachedRoot(host)}/${id}`).catch((error: unknown) => {
    // Who waited for the lock has made another one: it is found with nothing beside it, and swept.
    if (errnoOf(error) !== 'ENOTEMPTY') throw error;
  });
}
