import { Builder } from '../program/builder.ts';
import { attributes, propagations } from '../rootfs/attributes.ts';
import { standingPlace } from '../rootfs/root.ts';
import type { Segment } from './plan.ts';

/** The sync point at which there is nothing in its mount namespace any more. */
export const emptyTag = 6;

const origin = 'empty mounts';

/** The program of a process in a new mount namespace, which leaves nothing in it but a directory in which nothing can be made. */
export function emptyMountsProgram(): Segment {
  const p = new Builder();
  p.op('propagation', { flags: propagations.private }, origin);
  const { readonly, nosuid, nodev, noexec } = attributes;
  const root = { dst: 'root', fstype: 'tmpfs', options: ['mode=555', 'nr_inodes=1'] };
  p.op('fsmount', { ...root, attributes: readonly | nosuid | nodev | noexec }, origin);
  p.op('attach_host', { src: 'root', path: standingPlace }, origin);
  p.op('pivot', { root: 'root' }, origin);
  p.op('sync', { tag: emptyTag }, origin);
  // It waits here for its end, until somebody else has a handle of the namespace.
  p.op('sync', { tag: emptyTag }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}
