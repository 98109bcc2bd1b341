import { RuntsError } from '../../errors.ts';
import type { Spec } from '../../spec/types.ts';
import type { Cgroup } from '../cgroups/cgroup.ts';
import { openCgroup } from '../cgroups/open.ts';
import type { Handle, Host } from '../host.ts';
import { operation } from './operation.ts';
import { findProcess } from './process.ts';
import type { Record } from './record.ts';
import { load, openUnlocked, theRecord } from './store.ts';

export interface KillOptions {
  /** Every process of the container, not only the first. */
  readonly all: boolean;
}

/** Sends a signal, by number, to a container. */
export function killContainer(
  host: Host,
  root: string,
  id: string,
  signal: number,
  options: KillOptions,
): Promise<void> {
  return operation(host, `signal container ${id}`, (ports) => kill(ports, root, id, signal, options));
}

async function kill(host: Host, root: string, id: string, signal: number, { all }: KillOptions): Promise<void> {
  const entry = openUnlocked(root, id);
  const record = await theRecord(host, entry);
  const spec = (await load(host, entry, 'config.json').catch(() => undefined)) as Spec | undefined;
  // With the pid namespace of somebody else, the end of the first process is not the end of the others.
  const own = spec?.linux.namespaces.some(({ type, path }) => type === 'pid' && !path) ?? true;
  if (all || (!own && signal === 9)) return killAll(host, record, signal);
  const process = await findProcess(host, record);
  if (process === undefined) throw notRunning(id);
  try {
    if (!host.processes.signal(process, signal)) throw notRunning(id);
  } finally {
    process.close();
  }
}

async function killAll(host: Host, record: Record, signal: number): Promise<void> {
  const process = await findProcess(host, record);
  process?.close();
  if (record.cgroup === undefined) {
    if (process === undefined) throw notRunning(record.id);
    throw new RuntsError('ERR_STATE', `cannot signal all processes of ${record.id}: it has no cgroup of its own`, {
      hint: 'Leave --all away: the signal goes to its first process then.',
    });
  }
  const cgroup = openCgroup(host, record.cgroup);
  // What is gone has been killed well enough.
  if (signal === 9) return cgroup.kill();
  await standingStill(cgroup, async () => {
    const pids = await cgroup.processes();
    for (let i = 0; i < pids.length; i += heldMost)
      await signalThose(host, cgroup, pids.slice(i, i + heldMost), signal);
  });
}

/** What is frozen cannot fork away from the signal. What cannot be frozen in time is signalled as it is. */
async function standingStill(cgroup: Cgroup, work: () => Promise<void>): Promise<void> {
  if (await cgroup.isFrozen()) return work();
  const frozen = await cgroup.freeze().then(
    () => true,
    () => false,
  );
  try {
    await work();
  } finally {
    if (frozen) await cgroup.thaw();
  }
}

/** Descriptors of processes at a time. */
const heldMost = 256;

/** By pidfds, and only those that are in it still once we hold them: a number may have become that of somebody else. */
async function signalThose(host: Host, cgroup: Cgroup, pids: readonly number[], signal: number): Promise<void> {
  const held = new Map<number, Handle>();
  try {
    for (const pid of pids) {
      const process = await host.processes.find(pid);
      if (process !== undefined) held.set(pid, process);
    }
    for (const pid of await cgroup.processes()) {
      const process = held.get(pid);
      if (process !== undefined) host.processes.signal(process, signal);
    }
  } finally {
    for (const process of held.values()) process.close();
  }
}

const notRunning = (id: string) => new RuntsError('ERR_STATE', `container not running: ${id}`);
