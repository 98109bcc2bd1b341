import { RuntsError } from '../../errors.ts';
import type { CgroupWrite } from '../../plan/plan.ts';
import type { Host } from '../host.ts';
import { attempted, isGone, textIn, words } from './files.ts';

export interface Controllers {
  /** Without these a limit would not hold. */
  readonly needed: readonly string[];
  /** Left out where they cannot be had. */
  readonly wanted?: readonly string[] | undefined;
  /** The limits that need them: an error names the one that it is for. */
  readonly writes?: readonly CgroupWrite[];
}

/**
 * Gives controllers to the children of a cgroup: only what they do not have yet, since a cgroup with processes of its own
 * refuses any change. It never moves anybody to be allowed to.
 */
export async function enableControllers(host: Host, path: string, controllers: Controllers): Promise<void> {
  const { needed, wanted = [] } = controllers;
  if (needed.length + wanted.length === 0) return;
  const file = `${path}/cgroup.subtree_control`;
  const enabled = words(await attempted(host.cgroups.read(file), `read ${file}`));
  const isMissing = (name: string) => !enabled.includes(name);
  const missing = needed.filter(isMissing);
  if (missing.length > 0) await enable(host, path, missing, controllers);
  const desirable = wanted.filter(isMissing);
  if (desirable.length > 0) await enableAny(host, file, desirable);
}

/** The same on the way from one cgroup down to another, of which the last is given no further children. */
export async function enableAlong(host: Host, top: string, path: string, controllers: Controllers): Promise<void> {
  const names = path.slice(top.length + 1).split('/');
  for (const i of names.keys()) await enableControllers(host, [top, ...names.slice(0, i)].join('/'), controllers);
}

const added = (names: readonly string[]) => names.map((name) => `+${name}`).join(' ');

async function enable(host: Host, path: string, names: readonly string[], { writes = [] }: Controllers): Promise<void> {
  const origin = writes.find(({ controller }) => names.includes(controller ?? ''))?.origin;
  try {
    await host.cgroups.write(`${path}/cgroup.subtree_control`, added(names));
  } catch (error) {
    const there = isGone(error) ? words((await textIn(host, path, 'cgroup.controllers')) ?? names.join(' ')) : names;
    const absent = names.filter((name) => !there.includes(name));
    if (absent.length === 0) {
      await attempted(Promise.reject(error), `enable ${names.join(', ')} below the cgroup ${path}`, origin);
    }
    const message = `cannot limit the container: the cgroup ${path} has no ${absent.join(', ')} controller`;
    throw new RuntsError('ERR_UNSUPPORTED', message, {
      origin,
      hint: 'Enable it in cgroup.subtree_control of the directories above, or delegate it: a drop-in for user@.service with `Delegate=cpu cpuset io memory pids`.',
      cause: error,
    });
  }
}

/** All at once where that goes, for each write is a walk over all of the cgroups below. */
async function enableAny(host: Host, file: string, names: readonly string[]): Promise<void> {
  if (await isAccepted(host, file, names)) return;
  if (names.length > 1) for (const name of names) await isAccepted(host, file, [name]);
}

/** Gone, too, is no error here: whoever makes something below will notice. */
async function isAccepted(host: Host, file: string, names: readonly string[]): Promise<boolean> {
  try {
    await host.cgroups.write(file, added(names));
    return true;
  } catch (error) {
    if (RuntsError.is(error)) throw error;
    return false;
  }
}
