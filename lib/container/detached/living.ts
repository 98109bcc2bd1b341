import { RuntsError } from '../../errors.ts';
import { openCgroup } from '../../host/cgroups/open.ts';
import type { Handle, Host } from '../../host/host.ts';
import { endSignal } from '../../host/kill.ts';
import { findProcess, identify } from '../../host/oci/process.ts';
import { bootId } from '../../host/probe.ts';
import type { Status } from '../info.ts';
import { ranOutOfMemory } from '../resources.ts';
import { type Exit, exitOf } from '../result.ts';
import type { DetachedState, Place } from './record.ts';

/** How a detached container is now; `process` is closed by whoever asked. */
export interface Found {
  readonly status: Status;
  readonly process: Handle | undefined;
  readonly exit: Exit | undefined;
  /** Lines that are not in its log any more; known once it has ended. */
  readonly droppedLines?: number | undefined;
}

export async function identified(host: Host, pid: number): Promise<NonNullable<DetachedState['process']>> {
  const found = await identify(host, pid);
  if (found === undefined) throw new RuntsError('ERR_STATE', 'the container ended while it was started');
  return { ...found, boot: await bootId(host) };
}

/** Its process 1, by what is on record; undefined when that has ended. */
export async function findLiving(host: Host, { process }: DetachedState): Promise<Handle | undefined> {
  if (process === undefined || process.boot !== (await bootId(host))) return undefined;
  return findProcess(host, { process });
}

export async function look(host: Host, place: Place, state: DetachedState): Promise<Found> {
  if (state.process === undefined) return { status: 'created', process: undefined, exit: undefined };
  const process = await findLiving(host, state);
  if (process === undefined) return { status: 'stopped', process, ...(await exitIn(host, place, state)) };
  const { cgroup } = state;
  const frozen =
    cgroup !== undefined &&
    (await openCgroup(host, cgroup)
      .isFrozen()
      .catch(() => false));
  return { status: frozen ? 'paused' : 'running', process, exit: undefined };
}

/** The wait status, when, and how many lines were dropped. */
const exitLine = /^(\d{1,10}) (\S{20,40}) (\d{1,20})$/;

/** What process 1 wrote at the end of the command. Nothing: it was killed, or the machine was. */
async function exitIn(
  host: Host,
  place: Place,
  { cgroup }: DetachedState,
): Promise<{ readonly exit: Exit; readonly droppedLines: number | undefined }> {
  const text = await host.files.read(`${place.directory}/exit`).catch(() => '');
  const [, word, , dropped] = exitLine.exec(text.trim()) ?? [];
  const oomKilled = await ranOutOfMemory(host, cgroup);
  if (word === undefined) {
    return { exit: { exitCode: undefined, signal: undefined, oomKilled }, droppedLines: undefined };
  }
  const status = Number(word);
  const signal = status & 0x7f;
  const ended = signal === 0 ? { code: (status >> 8) & 0xff, signal: undefined } : { code: undefined, signal };
  return { exit: exitOf(ended, oomKilled), droppedLines: Number(dropped) };
}

/** Process 1 passes signals on; killed, it takes everything along, and the cgroup what has left its PID namespace. */
export async function endLiving(
  host: Host,
  process: Handle,
  how: {
    readonly state: DetachedState;
    readonly found: Found;
    readonly signal: number;
    readonly graceMs: number;
  },
): Promise<void> {
  const { state, found, signal, graceMs } = how;
  const cgroup = state.cgroup && openCgroup(host, state.cgroup);
  // What does not run hears of no signal.
  if (found.status === 'paused') await cgroup?.thaw();
  await endSignal(host, process, { signal, graceMs, killAll: async () => cgroup?.kill() });
}
