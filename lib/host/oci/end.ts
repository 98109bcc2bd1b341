import { RuntsError } from '../../errors.ts';
import { within } from '../cancel.ts';
import { openCgroup } from '../cgroups/open.ts';
import type { Handle, Host } from '../host.ts';
import { findProcess } from './process.ts';
import type { Record } from './record.ts';

/** How long killed processes may take to be gone. */
const goneMs = 10_000;

/**
 * Kills every process of a container and waits until they are gone: the first, with which its pid namespace ends, and all
 * that is in its cgroup, frozen or not, whichever pid namespace it is in.
 */
export async function endProcesses(host: Host, record: Record): Promise<void> {
  const process = await findProcess(host, record);
  try {
    if (process !== undefined) host.processes.signal(process, 9);
    if (record.cgroup !== undefined) await openCgroup(host, record.cgroup).kill();
    if (process !== undefined) await ended(host, record, process);
  } finally {
    process?.close();
  }
}

async function ended(host: Host, { id }: Record, process: Handle): Promise<void> {
  try {
    const doing = `waiting for container ${id} to end`;
    await within(host.processes.ended(process), { clock: host.clock, deadlineMs: goneMs, doing });
  } catch (error) {
    if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT') throw error;
    throw new RuntsError('ERR_TIMEOUT', `container ${id} was killed, and has not ended after ${goneMs} ms`, {
      hint: 'A process in uninterruptible sleep (state D) cannot be killed: its file system or device does not answer.',
      cause: error,
    });
  }
}
