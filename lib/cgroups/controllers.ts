import { RuntsError } from '../errors.ts';
import type { CgroupFacts } from '../plan/facts.ts';
import type { Limit } from './limit.ts';

/**
 * The controllers that these limits need, all of which can be had. A limit that cannot is an error, never left out: who
 * sets one relies on it.
 */
export function controllersFor(limits: readonly Limit[], facts: CgroupFacts): readonly string[] {
  const controllers = new Set<string>();
  for (const { controller, file, origin } of limits) {
    if (controller === undefined) continue;
    if (facts.parent === undefined || !facts.controllers.includes(controller)) {
      const message = `cannot set the limit ${origin.replace('/linux/resources/', '')} (${file}): ${whyNot(controller, facts)}`;
      throw new RuntsError('ERR_UNSUPPORTED', message, { origin, hint: remedy(facts) });
    }
    controllers.add(controller);
  }
  return [...controllers];
}

/** Without the directory to make cgroups in, not even a place can be had. */
export function parentFor(origin: string, facts: CgroupFacts): string {
  if (facts.parent !== undefined) return facts.parent;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot make a cgroup for the container: ${whyNot(undefined, facts)}`, {
    origin,
    hint: remedy(facts),
  });
}

function whyNot(controller: string | undefined, { mode, parent }: CgroupFacts): string {
  if (mode === 'none') return 'this host has no cgroup file system mounted';
  if (mode === 'legacy') return 'this host has only cgroup v1';
  if (mode === 'hybrid' && controller !== undefined) {
    return `on this host the ${controller} controller belongs to cgroup v1 (a hybrid hierarchy), which runts does not use`;
  }
  if (parent === undefined) return 'no cgroup is delegated to this user';
  return `the ${controller} controller is not delegated to ${parent}`;
}

function remedy({ mode }: CgroupFacts): string {
  if (mode === 'unified') {
    return 'Start the program with "systemd-run --user --scope -p Delegate=yes <command>", or run it as root.';
  }
  return 'Boot the host with cgroup v2 only (systemd.unified_cgroup_hierarchy=1), or leave the limit away.';
}
