import type { Maps } from '../plan/plan.ts';
import type { Mount, Spec } from '../spec/types.ts';

/**
 * Who gets the container's cgroup, as an id of the host: the user of its process (config-linux.md, "Cgroup ownership"),
 * where it has a cgroup namespace of its own and a cgroup file system that can be written to; only then can it make
 * cgroups in it. Undefined: nobody but us.
 */
export function cgroupOwner({ linux, mounts = [], process }: Spec, maps: Maps | undefined): number | undefined {
  const own = linux.namespaces.some(({ type, path }) => type === 'cgroup' && (path === undefined || path === ''));
  if (!own || !mounts.some(isWritableCgroup)) return undefined;
  const uid = process?.user.uid ?? 0;
  if (maps === undefined) return uid;
  const range = maps.uids.find(({ container, size }) => uid >= container && uid < container + size);
  return range === undefined ? undefined : range.host + (uid - range.container);
}

function isWritableCgroup({ type, options = [] }: Mount): boolean {
  if (type !== 'cgroup' && type !== 'cgroup2') return false;
  const last = options.filter((option) => ['ro', 'rw', 'rro'].includes(option)).pop();
  return last === undefined || last === 'rw';
}
