import { idMaps } from '../namespaces/maps.ts';
import { Builder } from '../program/builder.ts';
import type { CommonOptions } from '../spec/options.ts';
import type { Facts } from './facts.ts';
import type { IdMap, Maps, Segment } from './plan.ts';

/** A program of the host. */
export interface Heir {
  readonly file: string;
  readonly argv: readonly string[];
  readonly env: readonly string[];
}

/** The sync point at which a keeper, or who waits to become an heir, says that it is ready. */
export const keeperTag = 4;

const origin = 'keeper';

/** The program of a keeper, which has those of removals brought to it. */
export function keeperProgram({ mapped }: { readonly mapped: boolean }): Segment {
  const p = new Builder();
  if (mapped) p.op('become_root', {}, origin);
  // Not in a directory that somebody wants to unmount: it stays where it is, and its owner may go elsewhere.
  p.op('chdir', { path: '/' }, origin);
  // A Ctrl-C goes to the whole group of processes in the foreground; a keeper has to outlive its owner.
  p.op('new_session', {}, origin);
  p.op('sync', { tag: keeperTag }, origin);
  p.op('keep', {}, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** Removes what has a name in a directory, which comes with it: a tree of files, or a cgroup with what lives in it. */
export function removalProgram(what: 'tree' | 'cgroup', name: string): Segment {
  const p = new Builder();
  const directory = p.input('directory');
  if (what === 'cgroup') p.op('kill_cgroup', { parent: directory, name }, origin);
  else p.op('remove_tree', { root: directory, path: name }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** The program of a process that becomes another one once its owner is gone, for work that takes more than ops. */
export function heirProgram({ file, argv, env }: Heir): Segment {
  const p = new Builder();
  p.op('new_session', {}, origin);
  p.op('sync', { tag: keeperTag }, origin);
  p.op('until_hangup', {}, origin);
  p.op('exec', { files: [file], argv, env }, origin);
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
