import { RuntsError } from '../errors.ts';
import type { CgroupFacts } from '../plan/facts.ts';
import { type Limit, resources } from './limit.ts';
import type { Place } from './path.ts';

/**
 * The controllers that these limits need, all of which can be had. A limit that cannot is an error, never left out: who
 * sets one relies on it. Away from the directory that is delegated to us, the kernel tells when it comes to that.
 */
export function controllersFor(limits: readonly Limit[], facts: CgroupFacts, place: Place | undefined): string[] {
  const controllers = new Set<string>();
  const known = place === undefined || place.parent === facts.parent;
  for (const { controller, file, origin } of limits) {
    if (place !== undefined && controller === undefined) continue;
    const missing = controller !== undefined && !facts.controllers.includes(controller);
    if (place === undefined || (missing && (known || facts.legacy.includes(controller)))) {
      const what =
        place === undefined
          ? `cannot set ${controller ?? file} limit: container could not join or create cgroup`
          : `cannot set the limit ${origin.replace(`${resources}/`, '')} (${file})`;
      const message = `${what}: ${whyNot(controller, facts)}`;
      throw new RuntsError('ERR_UNSUPPORTED', message, { origin, hint: remedy(facts) });
    }
    if (controller !== undefined) controllers.add(controller);
  }
  return [...controllers];
}

/**
 * What is left to be written: no limit, of a controller that cannot be had, is what a cgroup without it has. Unless it is
 * said in the kernel's own words (`unified`).
 */
export const withoutIdle = (limits: readonly Limit[], { controllers }: CgroupFacts): Limit[] =>
  limits.filter(
    ({ controller, value, origin }) =>
      controller === undefined ||
      controllers.includes(controller) ||
      origin.startsWith(`${resources}/unified`) ||
      !/^max( |$)/.test(value),
  );

/** Without the directory to make cgroups in, not even a place can be had. */
export function parentFor(origin: string, facts: CgroupFacts): string {
  if (facts.parent !== undefined) return facts.parent;
  throw new RuntsError('ERR_UNSUPPORTED', `unable to apply cgroup configuration: ${whyNot(undefined, facts)}`, {
    origin,
    hint: remedy(facts),
  });
}

function whyNot(controller: string | undefined, { mode, parent, occupied, legacy }: CgroupFacts): string {
  if (mode === 'none') return 'this host has no cgroup file system mounted';
  if (mode === 'legacy') return 'this host has only cgroup v1';
  if (controller !== undefined && legacy.includes(controller)) {
    return `${unavailable(controller)}: it belongs to cgroup v1 on this host (a hybrid hierarchy), which runts does not use`;
  }
  if (parent === undefined) return 'permission denied: no cgroup is delegated to this user';
  if (occupied) {
    return `the cgroup ${parent} has processes of its own, and can therefore give no further controllers to cgroups below it`;
  }
  return `${unavailable(controller)} in ${parent}`;
}

const unavailable = (controller: string | undefined) =>
  `the requested cgroup controller \`${controller}\` is not available`;

function remedy({ mode, occupied, parent }: CgroupFacts): string {
  if (mode !== 'unified') {
    return 'Boot the host with cgroup v2 only (systemd.unified_cgroup_hierarchy=1), or leave the limit away.';
  }
  if (parent !== undefined && occupied) {
    return 'Move its processes to a cgroup below it first (in a unit of systemd: DelegateSubgroup=main beside Delegate=yes), or start the program with "systemd-run --user --scope -p Delegate=yes <command>".';
  }
  return 'Start the program with "systemd-run --user --scope -p Delegate=yes <command>" (for all controllers: a drop-in for user@.service with Delegate=cpu cpuset io memory pids), or run it as root.';
}
