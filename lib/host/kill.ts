import { RuntsError } from '../errors.ts';
import { bounded } from './bounded.ts';
import { within } from './cancel.ts';
import type { Created } from './create.ts';
import type { Exit, Handle, Host } from './host.ts';
import type { Running } from './start.ts';

export interface StopOptions {
  /** By number; 15 (SIGTERM) unless given. */
  readonly signal?: number | undefined;
  /** How long the command may take to end by itself; 10 s unless given. */
  readonly graceMs?: number | undefined;
}

/** How long a container that was killed may take to be gone. */
const killedMs = 10_000;

/** Sends a signal to the container's first process, by its pidfd. False when it is gone. */
export function kill({ host, session, undo }: Created, signal: number): boolean {
  return !undo.begun && host.processes.signal(session.process, signal);
}

/** Asks the command to end, and kills everything when it does not within the grace. Gives how it ended. */
export async function stop(running: Running, { signal = 15, graceMs = 10_000 }: StopOptions = {}): Promise<Exit> {
  const { host, options } = running.created;
  const { clock } = host;
  kill(running.created, signal);
  try {
    return await within(running.exit, { clock, deadlineMs: graceMs, doing: `signal ${signal}` });
  } catch (error) {
    if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT') throw error;
  }
  await killAll(running.created);
  return within(running.exit, {
    clock,
    deadlineMs: options.deadlineMs,
    doing: 'waiting for a killed container to end',
  });
}

/** The same for a process that is known by its pidfd only: asks it, and kills it with all that is with it after the grace. */
export async function endSignal(
  host: Host,
  process: Handle,
  {
    signal,
    graceMs,
    killAll,
  }: { readonly signal: number; readonly graceMs: number; readonly killAll: () => Promise<void> },
): Promise<void> {
  const { clock, processes } = host;
  const ended = processes.ended(process);
  ended.catch(() => undefined);
  if (!processes.signal(process, signal)) return;
  try {
    if (signal !== 9) return await within(ended, { clock, deadlineMs: graceMs, doing: `signal ${signal}` });
  } catch (error) {
    if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT') throw error;
  }
  processes.signal(process, 9);
  // Best effort beside the signal: what is wrong with the cgroup comes out when it is removed.
  await killAll().catch(() => undefined);
  await within(ended, { clock, deadlineMs: killedMs, doing: 'waiting for a killed container to end' });
}

/** The first process takes its pid namespace along; the cgroup has those that share the pid namespace of the host. */
async function killAll(created: Created): Promise<void> {
  const { host, session, cgroup, undo, options } = created;
  if (undo.begun) return;
  host.processes.signal(session.process, 9);
  if (cgroup === undefined) return;
  const { cgroups } = bounded(host, { deadlineMs: options.deadlineMs });
  // Best effort beside the signal: what is wrong with the cgroup comes out when it is removed.
  await cgroups.write(`${cgroup.path}/cgroup.kill`, '1').catch(() => {});
}
