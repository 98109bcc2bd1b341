import { Builder } from '../program/builder.ts';
import { propagations } from '../rootfs/attributes.ts';
import { type OverlayLayers, overlayRoot } from '../rootfs/overlay-root.ts';
import { type NamespaceType, namespaceFlags } from '../spec/names.ts';
import { addInput, newDraft } from './draft.ts';
import type { Facts } from './facts.ts';
import { fuseRoot } from './fuse.ts';
import type { Maps, Plan, Segment } from './plan.ts';

export type { OverlayLayers } from '../rootfs/overlay-root.ts';

const origin = 'layers';

/** The program that makes what a stream of records says in a directory; inputs: the stream, the directory. */
export function unpackProgram({ mapped }: { readonly mapped: boolean }): Segment {
  const p = new Builder();
  const src = p.input('records');
  const root = p.input('root');
  if (mapped) p.op('become_root', {}, origin);
  // A Ctrl-C goes to the whole group of processes in the foreground; what it means is for the host to say.
  p.op('new_session', {}, origin);
  p.op('unpack', { src, root }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** The program that tells what is in a directory, as a stream asks; inputs: the stream, the directory. */
export function readTreeProgram({ mapped }: { readonly mapped: boolean }): Segment {
  const p = new Builder();
  const src = p.input('questions');
  const root = p.input('root');
  if (mapped) p.op('become_root', {}, origin);
  p.op('new_session', {}, origin);
  p.op('read_tree', { src, root }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** The program that copies what is in a directory, marks of union mounts and all; inputs: where from, where to. */
export function copyTreeProgram({ mapped }: { readonly mapped: boolean }): Segment {
  const p = new Builder();
  const src = p.input('from');
  const dst = p.input('to');
  if (mapped) p.op('become_root', {}, origin);
  p.op('new_session', {}, origin);
  p.op('copy_tree', { src, dst }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** The program that removes trees from a directory, its input. */
export function removalProgram(names: readonly string[], { mapped }: { readonly mapped: boolean }): Segment {
  const p = new Builder();
  const root = p.input('directory');
  if (mapped) p.op('become_root', {}, origin);
  for (const path of names) p.op('remove_tree', { root, path }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

/** In the lower layer of a trial: what is to be taken away. */
export const trialEntry = 'old';

/**
 * Tries whether layers can be a union mount here, for containers with these maps: mounts them, makes something and takes
 * something of the lower layer away.
 */
export function planTrial(layers: OverlayLayers, maps: Maps | undefined, facts: Facts): Plan {
  const draft = newDraft();
  const { ops } = draft;
  if (maps !== undefined) ops.op('become_root', {}, origin);
  ops.op('propagation', { flags: propagations.private }, origin);
  const own = new Set<NamespaceType>(maps === undefined ? ['mount', 'pid'] : ['mount', 'pid', 'user']);
  const clone = ({ stem, source, recursive, idmap }: Parameters<Parameters<typeof overlayRoot>[0]['clone']>[0]) => {
    if (facts.privileged && maps !== undefined) {
      return { register: addInput(draft, stem, { kind: 'mount', source, recursive, idmap, origin }), shared: true };
    }
    const register = ops.register(stem);
    ops.op('clone_mount', { dst: register, path: source, recursive: recursive ? 1 : 0 }, origin);
    return { register, shared: false };
  };
  const site = { ops, facts, own, forced: 0, clone };
  const user = maps === undefined ? 'host' : 'clone';
  const root = layers.server ? fuseRoot(draft, site, layers, user) : overlayRoot(site, layers);
  ops.op('directory', { root, path: 'new', mode: 0o755 }, origin);
  ops.op('remove_tree', { root, path: trialEntry }, origin);
  ops.op('halt', {}, origin);
  const flags = namespaceFlags.mount | namespaceFlags.pid | (maps === undefined ? 0 : namespaceFlags.user);
  return { flags, maps, inputs: draft.inputs, segment: ops.segment(), reaps: false };
}
