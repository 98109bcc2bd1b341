import { openCgroup } from '../cgroups/open.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import { operation } from './operation.ts';
import { findProcess } from './process.ts';
import type { Record } from './record.ts';
import { type Entry, openUnlocked, theRecord } from './store.ts';

export type Status = 'creating' | 'created' | 'running' | 'paused' | 'stopped';

/** The state of a container as the runtime specification has it, with what every runtime adds to it. */
export interface State {
  readonly ociVersion: string;
  readonly id: string;
  /** In our pid namespace; 0 when it has stopped. */
  readonly pid: number;
  readonly status: Status;
  readonly bundle: string;
  readonly rootfs: string;
  readonly created: string;
  readonly annotations: Readonly<globalThis.Record<string, string>>;
  readonly owner: string;
}

export function containerState(host: Host, root: string, id: string): Promise<State> {
  return operation(host, `tell the state of container ${id}`, async (ports) => {
    const entry = openUnlocked(root, id);
    const record = await theRecord(ports, entry);
    return stateOf(record, await statusOf(ports, entry, record));
  });
}

export function stateOf(record: Record, status: Status): State {
  const { ociVersion, id, bundle, rootfs, created, annotations, owner, process } = record;
  const pid = status === 'stopped' ? 0 : (process?.pid ?? 0);
  return { ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner };
}

export async function statusOf(host: Host, entry: Entry, record: Record): Promise<Status> {
  const process = await findProcess(host, record);
  if (process === undefined)
    return record.phase === 'creating' && (await isLocked(host, entry)) ? 'creating' : 'stopped';
  try {
    if (record.phase === 'creating') return 'creating';
    if (record.cgroup !== undefined && (await openCgroup(host, record.cgroup).isFrozen())) return 'paused';
    if (record.started) return 'running';
    return (await isWaiting(host, entry, record, process)) ? 'created' : 'running';
  } finally {
    process.close();
  }
}

/** Where a container waits to be started. */
export const startSocket = ({ directory }: Entry): string => `${directory}/start.sock`;

/** Somebody listens at its socket until the command is executed: an init that hears nothing from us listens on. */
async function isWaiting(host: Host, entry: Entry, { process }: Record, handle: Handle): Promise<boolean> {
  try {
    (await host.processes.connect(startSocket(entry), process?.pid ?? 0, handle)).close();
    return true;
  } catch (error) {
    if (['ECONNREFUSED', 'ENOENT'].includes(errnoOf(error) ?? '')) return false;
    throw error;
  }
}

async function isLocked(host: Host, { directory }: Entry): Promise<boolean> {
  try {
    (await host.files.lock(`${directory}/lock`)).close();
    return false;
  } catch (error) {
    return ['EWOULDBLOCK', 'EAGAIN'].includes(errnoOf(error) ?? '');
  }
}
