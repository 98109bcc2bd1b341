import { idMaps } from '../namespaces/maps.ts';
import { Builder } from '../program/builder.ts';
import type { CommonOptions } from '../spec/options.ts';
import type { Facts } from './facts.ts';
import type { IdMap, Maps, Segment } from './plan.ts';

/** What is to go when a container does: names in the directories that the keeper receives as handles, by index. */
export interface Cleanup {
  readonly trees: readonly { readonly directory: number; readonly name: string }[];
  readonly cgroups: readonly { readonly directory: number; readonly name: string }[];
  /** What the keeper becomes in the end, for work that takes more than ops. */
  readonly heir?: Heir | undefined;
}

/** A program of the host. */
export interface Heir {
  readonly file: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
}

/** The sync point at which a keeper says that it is ready. */
export const keeperTag = 4;

const origin = 'keeper';

/** The program of a keeper: waits for a word or for the end of its owner, then kills and removes. */
export function keeperProgram({ trees, cgroups, heir }: Cleanup, { mapped }: { readonly mapped: boolean }): Segment {
  const p = new Builder();
  const count = Math.max(-1, ...[...trees, ...cgroups].map(({ directory }) => directory)) + 1;
  const directories = Array.from({ length: count }, (_, i) => p.input(`directory${i}`));
  if (mapped) p.op('become_root', {}, origin);
  // A Ctrl-C goes to the whole group of processes in the foreground; a keeper has to outlive its owner.
  p.op('new_session', {}, origin);
  p.op('sync', { tag: keeperTag }, origin);
  p.op('until_hangup', {}, origin);
  for (const { directory, name } of cgroups) p.op('kill_cgroup', { parent: directories[directory]!, name }, origin);
  for (const { directory, name } of trees) p.op('remove_tree', { root: directories[directory]!, path: name }, origin);
  if (heir === undefined) p.op('halt', {}, origin);
  else p.op('exec', { files: [heir.file], argv: heir.argv, env: heir.env }, origin);
  return p.segment();
}

/** Where owners are to be given inside a user namespace, the maps of it; undefined where they are ours to give. */
export function ownerMaps(userns: CommonOptions['userns'], facts: Facts): Maps | undefined {
  return facts.privileged ? undefined : containerMaps(userns, facts);
}

/** The id maps that a container of these options will have; undefined with the ids of the host. */
export function containerMaps(userns: CommonOptions['userns'], facts: Facts): Maps | undefined {
  if (userns === 'host') return undefined;
  if (typeof userns !== 'object') return idMaps({}, facts);
  const mapping = ({ container, host, size }: IdMap) => ({ containerID: container, hostID: host, size });
  return idMaps({ uidMappings: userns.uids.map(mapping), gidMappings: userns.gids.map(mapping) }, facts);
}

export { isMapped } from '../namespaces/maps.ts';
