import { Builder } from '../program/builder.ts';
import { type Input, type Segment, tags } from './plan.ts';

type MountInput = Extract<Input, { kind: 'mount' }>;

/** The file system cannot map owners, the kernel cannot, or we are not root of the host after all. */
const unmappable = ['EINVAL', 'EPERM', 'ENOSYS', 'EOPNOTSUPP'];

/**
 * A program for a helper in none but the host's namespaces: clones mounts that the init of a container with a user
 * namespace may not, and sends mount `i` with the tag `tags.mount + i`. Where owners are to be mapped, its one input is
 * the user namespace of the container. Where they cannot be mapped, they stay as they are: the files of the host's users
 * then belong to nobody inside, which is less, never more.
 */
export function helperForMounts(mounts: readonly MountInput[]): Segment {
  const ops = new Builder();
  const userns = mounts.some(({ idmap }) => idmap) ? ops.input('userns') : undefined;
  mounts.forEach(({ source, recursive, idmap, origin }, i) => {
    const src = ops.register('mount');
    ops.op('clone_mount', { dst: src, path: source, recursive: recursive ? 1 : 0 }, origin);
    if (idmap && userns !== undefined) mapOwners(ops, src, userns, recursive, origin);
    ops.op('send_handle', { src, tag: tags.mount + i }, origin);
  });
  return ops.op('halt', {}, 'default: end').segment();
}

/** All of the tree, or else the mount at its top: one file system below it that cannot must not stop the others. */
function mapOwners(ops: Builder, src: string, userns: string, recursive: boolean, origin: string): void {
  const map = (all: 0 | 1, skip: number) =>
    ops.op('idmap', { src, userns, recursive: all }, origin, { unless: unmappable, skip });
  if (recursive) map(1, 1);
  map(0, 0);
}
