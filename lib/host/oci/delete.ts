import { RuntsError } from '../../errors.ts';
import type { Hooks, Spec } from '../../spec/types.ts';
import type { Interruptible } from '../cancel.ts';
import type { CgroupRecord } from '../cgroups/cgroup.ts';
import { openCgroup } from '../cgroups/open.ts';
import type { Host } from '../host.ts';
import { removeGroups } from '../resctrl.ts';
import { messageOf } from '../undo.ts';
import { removePidFile } from './deliveries.ts';
import { endProcesses } from './end.ts';
import { runLateHooks } from './hooks.ts';
import { operation } from './operation.ts';
import { keptCgroup } from './program.ts';
import type { Record } from './record.ts';
import { type State, stateOf, statusOf } from './state.ts';
import { discard, type Entry, load, openLocked, readRecord } from './store.ts';

export interface DeleteOptions {
  /** Also when it runs, or does not exist. */
  readonly force: boolean;
  /** Only this one: somebody may have removed it, and made another one of its name. */
  readonly only?: Record | undefined;
  /** Its configuration, where that is known. */
  readonly spec?: Spec | undefined;
  readonly warn: (message: string) => void;
  /** For its poststop hooks. */
  readonly interruptible?: Interruptible | undefined;
}

/** Removes a container that has ended, or that was never started; with force, whatever is left of it. */
export async function removeContainer(host: Host, root: string, id: string, options: DeleteOptions): Promise<void> {
  const gone = await operation(host, `delete container ${id}`, (ports) => remove(ports, root, id, options));
  // Once, whatever happens: the container is gone by now.
  if (gone !== undefined) await runLateHooks(host, 'poststop', gone.hooks, gone.state, options);
}

/** What its last hooks want to know. */
interface Gone {
  readonly hooks: Hooks | undefined;
  readonly state: State;
}

async function remove(host: Host, root: string, id: string, options: DeleteOptions): Promise<Gone | undefined> {
  const entry = await openLocked(host, root, id).catch((error: unknown) => {
    if (options.force && RuntsError.is(error) && error.code === 'ERR_NOT_FOUND') return undefined;
    throw error;
  });
  if (entry === undefined) return undefined;
  try {
    const record = await recordOf(host, entry, options);
    if (record === undefined) {
      await discard(host, entry);
      return undefined;
    }
    if (options.only !== undefined && !isSame(record, options.only)) return undefined;
    if (!options.force) await mustHaveEnded(host, entry, record);
    return await removeEntry(host, entry, record, options);
  } finally {
    entry.close();
  }
}

/** What cannot be read says nothing of when it was made. */
const isSame = ({ created }: Record, only: Record): boolean => created === '' || created === only.created;

async function mustHaveEnded(host: Host, entry: Entry, record: Record): Promise<void> {
  const status = await statusOf(host, entry, record);
  if (status === 'stopped' || status === 'created') return;
  throw new RuntsError('ERR_STATE', `cannot delete container ${entry.id} that is not stopped: ${status}`, {
    hint: 'Kill it first, or use --force.',
  });
}

/** With force, what is left of a container is removed also where its record cannot be read. */
async function recordOf(host: Host, entry: Entry, { force, warn }: DeleteOptions): Promise<Record | undefined> {
  try {
    return await readRecord(host, entry);
  } catch (error) {
    // What is no JSON now will not be later; what could not be read may well be.
    if (!force || !RuntsError.is(error) || error.code !== 'ERR_SPEC') throw error;
    const cgroup = await keptCgroup(host, entry);
    const left =
      cgroup === undefined ? 'its processes, if there are any, are left alone' : 'its cgroup tells what is left';
    warn(`the state of container ${entry.id} is damaged, so ${left}: ${messageOf(error)}`);
    return cgroup === undefined ? undefined : remains(entry, cgroup);
  }
}

/** What is known of a container whose record is not: all of its processes are in its cgroup. */
const remains = ({ id }: Entry, cgroup: CgroupRecord): Record => ({
  version: 1,
  id,
  ociVersion: '1.0.0',
  bundle: '/',
  rootfs: '/',
  created: '',
  owner: '',
  annotations: {},
  phase: 'created',
  started: true,
  cgroup,
});

/** Ends what still runs, and removes everything: it may be called again after it was interrupted anywhere. */
async function removeEntry(host: Host, entry: Entry, record: Record, known: DeleteOptions): Promise<Gone> {
  await endProcesses(host, record);
  if (record.cgroup !== undefined) await openCgroup(host, record.cgroup).remove();
  if (record.intelRdt !== undefined) await removeGroups(host, record.intelRdt);
  const { pidFile, phase } = record;
  if (pidFile !== undefined && phase === 'creating') await removePidFile(host, pidFile, record.process?.pid);
  const spec = known.spec ?? ((await load(host, entry, 'config.json').catch(() => undefined)) as Spec | undefined);
  await discard(host, entry);
  return { hooks: spec?.hooks, state: stateOf(record, 'stopped') };
}
