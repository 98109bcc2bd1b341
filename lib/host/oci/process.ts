import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import type { Record } from './record.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after boot, field 22 of proc_pid_stat(5): a pid that was given out again has another one. */
  readonly startTime: string;
}

/** What tells a process from a later one of the same number. */
export async function identify(host: Host, pid: number): Promise<ProcessIdentity | undefined> {
  const stat = await readStat(host, pid);
  return stat && { pid, startTime: stat.startTime };
}

/**
 * The first process of a container, held by a pidfd; undefined when it has ended. One that only waits to be collected has,
 * too: whoever called us will collect it.
 */
export async function findProcess(host: Host, { process }: Pick<Record, 'process'>): Promise<Handle | undefined> {
  if (process === undefined) return undefined;
  const handle = await host.processes.find(process.pid);
  if (handle === undefined) return undefined;
  // In this order: the descriptor holds whichever process has the number, and now we see whether it is ours.
  const stat = await readStat(host, process.pid).catch((error: unknown) => {
    handle.close();
    throw error;
  });
  if (stat !== undefined && stat.startTime === process.startTime && !'ZX'.includes(stat.state)) return handle;
  handle.close();
  return undefined;
}

interface Stat {
  readonly state: string;
  readonly startTime: string;
}

async function readStat(host: Host, pid: number): Promise<Stat | undefined> {
  const text = await host.files.read(`/proc/${pid}/stat`).catch((error: unknown) => {
    // Anything else says nothing about the process: it must not be taken for one that has ended.
    if (!['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '')) throw error;
    return '';
  });
  // The second field is a name in parentheses, which may have any characters, parentheses too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, startTime] = [fields[0], fields[19]];
  return state && startTime ? { state, startTime } : undefined;
}
