import { Builder } from '../program/builder.ts';
import { type Input, type Segment, tags } from './plan.ts';

type MountInput = Extract<Input, { kind: 'mount' }>;
type Owners = NonNullable<MountInput['owners']>;

/** The file system cannot map owners, the kernel cannot, or we are not root of the host after all. */
const unmappable = ['EINVAL', 'EPERM', 'ENOSYS', 'EOPNOTSUPP'];

/** A program that clones mounts, and the user namespaces that it wants as inputs, in their order. */
export interface MountProgram {
  readonly segment: Segment;
  /** `container`: that of the new container; else one with these id maps, for nothing but this. */
  readonly users: readonly ('container' | Omit<Owners, 'recursive'>)[];
}

/**
 * For a helper in none but the host's namespaces: clones mounts that the init of a container with a user namespace may
 * not, and sends mount `i` with the tag `tags.mount + i`. Where the container's owners cannot be mapped, they stay as they
 * are: the files of the host's users then belong to nobody inside, which is less, never more. Maps of a mount's own were
 * asked for by name, and are an error where they cannot be had.
 */
export function helperForMounts(mounts: readonly MountInput[]): MountProgram {
  const ops = new Builder();
  const users = new Map<string, { readonly register: string; readonly user: MountProgram['users'][number] }>();
  const namespaceOf = (user: MountProgram['users'][number]): string => {
    const key = JSON.stringify(user);
    const known = users.get(key) ?? { register: ops.input(ops.register('userns')), user };
    users.set(key, known);
    return known.register;
  };
  mounts.forEach(({ source, recursive, idmap, owners, origin }, i) => {
    const src = ops.register('mount');
    ops.op('clone_mount', { dst: src, path: source, recursive: recursive ? 1 : 0 }, origin);
    if (owners !== undefined) {
      const userns = namespaceOf({ uids: owners.uids, gids: owners.gids });
      ops.op('idmap', { src, userns, recursive: owners.recursive ? 1 : 0 }, origin);
    } else if (idmap) mapOwners(ops, src, namespaceOf('container'), recursive, origin);
    ops.op('send_handle', { src, tag: tags.mount + i }, origin);
  });
  const segment = ops.op('halt', {}, 'default: end').segment();
  return { segment, users: [...users.values()].map(({ user }) => user) };
}

/** All of the tree, or else the mount at its top: one file system below it that cannot must not stop the others. */
function mapOwners(ops: Builder, src: string, userns: string, recursive: boolean, origin: string): void {
  const map = (all: 0 | 1, skip: number) =>
    ops.op('idmap', { src, userns, recursive: all }, origin, { unless: unmappable, skip });
  if (recursive) map(1, 1);
  map(0, 0);
}
