import { RuntsError } from '../../errors.ts';
import { errnoOf } from '../failure.ts';
import type { Host } from '../host.ts';
import { Undo, withReleaseErrors } from '../undo.ts';
import type { Cgroup, CgroupRecord } from './cgroup.ts';
import { attempted, stateOf, unlessGone, until } from './files.ts';
import { killAll, openBelow, processesOf, removeBelow, removeShared, removeTree } from './removal.ts';
import { enterScope, removeScope } from './scope.ts';

/** The cgroup of a record, or what is left of it. */
export function openCgroup(host: Host, record: CgroupRecord): Cgroup {
  const { path } = record;
  return {
    record,
    open: (below = '') => openBelow(host, path, below),
    enter: (pid) => enter(host, record, pid),
    processes: () => processesOf(host, path),
    kill: () => killAll(host, path),
    remove: () => remove(host, record),
    freeze: () => freeze(host, path),
    thaw: () => setFrozen(host, path, false),
    isFrozen: async () => (await attempted(stateOf(host, path), `look at the cgroup ${path}`))?.frozen === true,
  };
}

async function enter(host: Host, record: CgroupRecord, pid: number): Promise<void> {
  try {
    await host.cgroups.write(`${record.path}/cgroup.procs`, `${pid}`);
  } catch (error) {
    // From a cgroup that has no common owner with it, only systemd can.
    const notOurs = record.unit !== undefined && ['EACCES', 'EPERM'].includes(errnoOf(error) ?? '');
    if (notOurs) return enterScope(host, record, pid);
    await attempted(Promise.reject(error), `move process ${pid} to the cgroup ${record.path}`);
  }
}

async function remove(host: Host, record: CgroupRecord): Promise<void> {
  const { path, made, unit } = record;
  await killAll(host, path);
  const undo = new Undo();
  if (unit !== undefined) undo.add(() => removeScope(host, record));
  for (const directory of made) if (directory !== path) undo.add(() => removeShared(host, directory));
  undo.add(() => (made.includes(path) ? removeTree(host, path) : removeBelow(host, path)));
  const [first, ...others] = await undo.run();
  if (first !== undefined) throw withReleaseErrors(first, others);
}

async function freeze(host: Host, path: string): Promise<void> {
  try {
    await setFrozen(host, path, true);
  } catch (error) {
    await host.cgroups.write(`${path}/cgroup.freeze`, '0').catch(unlessGone);
    throw error;
  }
}

async function setFrozen(host: Host, path: string, frozen: boolean): Promise<void> {
  const doing = `${frozen ? 'freeze' : 'thaw'} the cgroup ${path}`;
  await attempted(host.cgroups.write(`${path}/cgroup.freeze`, frozen ? '1' : '0'), doing);
  const isDone = async (): Promise<boolean> => {
    const state = await stateOf(host, path);
    if (state === undefined) throw new RuntsError('ERR_STATE', `cannot ${doing}: it is gone`);
    return state.frozen === frozen;
  };
  const hint = frozen
    ? 'A process in uninterruptible sleep (state D), or in the middle of a vfork, cannot be frozen.'
    : 'A cgroup above it is frozen, too.';
  await attempted(until(host, isDone, `the cgroup ${path} to be ${frozen ? 'frozen' : 'thawed'}`, hint), doing);
}
