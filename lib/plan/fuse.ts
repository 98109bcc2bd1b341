import { RuntsError } from '../errors.ts';
import { Builder } from '../program/builder.ts';
import { attributes, propagations } from '../rootfs/attributes.ts';
import { stagePlace } from '../rootfs/host-root.ts';
import type { OverlayLayers } from '../rootfs/overlay-root.ts';
import { standRoot } from '../rootfs/root.ts';
import type { Site } from '../rootfs/site.ts';
import { namespaceFlags } from '../spec/names.ts';
import { addInput, type Draft } from './draft.ts';
import type { Facts } from './facts.ts';
import { type FuseInput, type Segment, tags } from './plan.ts';

const origin = '/root/path';

/** The sync point at which a file server has made its mount. */
export const fuseTag = 5;

/** How long its program may take until the mount is there. */
const startMs = 20_000;

/**
 * Layers of an image and a directory for changes as the root, by a program outside of the container that serves the files of
 * the mount (FUSE): where the kernel makes no union mount of its own for us.
 *
 * The mount has to belong to the user namespace of the container, or nobody in it may use it; so must the program, that may
 * be seen by no process of the container's: who is root there could take it over, and with it what it sees of the host.
 */
export function fuseRoot(
  draft: Draft,
  site: Pick<Site, 'ops' | 'facts' | 'own' | 'forced'>,
  layers: OverlayLayers,
  user: 'clone' | 'unshare' | 'join' | 'host',
): string {
  const { server } = layers;
  if (server === undefined) throw new RuntsError('ERR_INTERNAL', 'layers without a program that serves them');
  if (user === 'join' || user === 'unshare' || !site.own.has('pid')) {
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot serve the files of a container with fuse-overlayfs that has not a pid namespace of its own, and a user namespace that is made for it, if any',
      { origin, hint: 'Take the driver "copy" for it, which unpacks the image for the container.' },
    );
  }
  const mapped = user === 'clone';
  const mount = { mapped, shared: mapped && site.facts.privileged, attributes: site.forced | attributes.nodev };
  const register = addInput(draft, 'root', { kind: 'fuse', layers, server, ...mount, origin });
  standRoot(site, register, origin);
  return register;
}

/**
 * The program of what starts the server and stays with it: process 1 of a pid namespace of its own, at whose end, which is
 * the end of its channel, the kernel ends the server. Inputs: an empty file, the user namespace of the container where it has
 * one, and with `shared` the layers as a mount whose owners are mapped.
 */
export function fuseProgram({ layers, server, mapped, shared, attributes: set }: FuseInput, facts: Facts): Segment {
  const p = new Builder();
  const nothing = p.input('nothing');
  const user = mapped ? p.input('user') : undefined;
  const stage = shared ? p.input('layers') : undefined;
  p.op('undumpable', {}, origin);
  if (user !== undefined) p.op('join', { namespaces: [], user }, origin);
  p.op('unshare', { flags: namespaceFlags.mount | namespaceFlags.pid }, origin);
  if (user !== undefined) p.op('become_root', {}, origin);
  // What the host unmounts is to go from here too: a copy of its mounts would keep their file systems.
  p.op('propagation', { flags: propagations.slave }, origin);
  p.op('fork', {}, origin);
  p.op('new_session', {}, origin);
  const data = p.register('data');
  if (stage !== undefined) {
    const change = { src: stage, set: 0, clear: 0, propagation: propagations.private, recursive: 0 };
    p.op('mount_attributes', change, origin);
    p.op('attach_host', { src: stage, path: stagePlace(facts) }, origin);
    p.op('open_below', { dst: data, root: stage, path: '', directory: 1 }, origin);
  } else p.op('open', { dst: data, path: layers.data }, origin);
  const base = p.register('base');
  p.op('open_below', { dst: base, root: data, path: layers.base, directory: 1 }, origin);
  // Names of layers are short, and relative to here.
  p.op('enter', { dir: base }, origin);
  p.op('hook', { ...serverCommand(layers, server), env: [], stdin: nothing, timeout: startMs }, origin);
  const mounted = p.register('mounted');
  const place = `${layers.base}/${server.place}`;
  p.op('open_below', { dst: mounted, root: data, path: place, directory: 1 }, origin);
  const root = p.register('root');
  p.op('clone_below', { dst: root, root: data, path: place, recursive: 0 }, origin);
  p.op('mount_attributes', { src: root, set, clear: 0, propagation: 0, recursive: 0 }, origin);
  p.op('send_handle', { src: root, tag: tags.mount }, origin);
  // The container is to be the only one that has it: with its last user goes the mount, and with the mount the server.
  p.op('detach', { src: mounted }, origin);
  p.op('enter', { dir: base }, origin);
  for (const src of [mounted, root]) p.op('close', { src }, origin);
  p.op('sync', { tag: fuseTag }, origin);
  p.op('until_hangup', {}, origin);
  p.op('halt', {}, origin);
  return p.segment();
}

function serverCommand({ lower, upper, work }: OverlayLayers, { program, place }: FuseInput['server']) {
  const options = `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work}`;
  return { path: program, argv: ['fuse-overlayfs', '-o', options, place] };
}
