import { propagations } from '../rootfs/attributes.ts';
import { receivesMounts } from '../rootfs/mounts.ts';
import { rootPropagation, separateMounts } from '../rootfs/propagation.ts';
import type { Spec } from '../spec/types.ts';
import type { ContainerRequest } from './container.ts';
import { addInput } from './draft.ts';
import type { Facts } from './facts.ts';
import type { Scene } from './scene.ts';

/**
 * A new mount namespace is a copy of the one that it is made in, and the kernel copies each mount of it, and takes each away
 * again when the container changes its root. Who begins in one with nothing in it, and has clones of what it wants of the host in
 * its hands, takes as long on a host with a thousand mounts as on one with ten.
 *
 * It belongs to root of the host, so nobody in a user namespace may enter it; and nothing of the host is at any path in it: no
 * layers of an overlay, no place for a hook to look at, no mount events.
 */
export function leavesMounts(request: ContainerRequest, facts: Facts): boolean {
  if (request.emptyMounts !== true || !facts.privileged || facts.nested === true) return false;
  const { linux } = request.spec;
  return (
    request.root.kind === 'directory' &&
    request.noPivot !== true &&
    !hasCreateHooks(request) &&
    !receivesEvents(request.spec) &&
    Object.keys(linux.netDevices ?? {}).length === 0 &&
    linux.namespaces.every(({ type, path = '' }) => path === '' && type !== 'user' && (type !== 'time' || request.reap))
  );
}

/** Hooks that look at the root file system while it is made. */
export const hasCreateHooks = ({ spec: { hooks } }: ContainerRequest) =>
  [hooks?.prestart, hooks?.createRuntime, hooks?.createContainer].some((list = []) => list.length > 0);

/** Whether mounts that are made on the host later are to come in. */
export function receivesEvents({ linux, mounts = [] }: Spec): boolean {
  const root = linux.rootfsPropagation ? rootPropagation(linux.rootfsPropagation).flags : 0;
  return (root & (propagations.slave | propagations.shared)) !== 0 || mounts.some(receivesMounts);
}

/** The way from the host's mounts into a copy of the namespace that has none: after everything that is taken of the host. */
export function leaveMounts({ draft, shape }: Scene): void {
  const { opening: ops } = draft;
  const origin = 'default: host mounts';
  const empty = addInput(draft, 'empty', { kind: 'empty_mounts', origin });
  ops.op('join', { namespaces: [empty], user: undefined }, origin);
  ops.op('unshare', { flags: shape.unshared }, '/linux/namespaces');
  ops.op('close', { src: empty }, origin);
  separateMounts(ops, false, 'default: propagation');
}
