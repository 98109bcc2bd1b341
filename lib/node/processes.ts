import { RuntsError } from '../errors.ts';
import type { Errand, Handle, Processes, Session, SpawnRequest } from '../host/host.ts';
import { mapText } from '../host/maps.ts';
import type { Maps } from '../plan/plan.ts';
import { errnoNumber } from '../program/errno.ts';
import { ended } from './ended.ts';
import { enclosed, fill, letterOf } from './errand.ts';
import { isFailure, orThrow } from './failure.ts';
import { forkAhead, forkBy } from './fork-by.ts';
import { GoneProcess } from './gone-process.ts';
import { openHandle } from './handle.ts';
import { inherited } from './inherited.ts';
import { nativeLooks } from './looks.ts';
import { type Failure, type NativeHandle, type NativeMaps, native, type SpawnDone } from './native.ts';
import { run } from './run.ts';
import { NodeSession } from './session.ts';
import { connectTo } from './sockets.ts';
import { endedSession, sessionOf } from './spawned.ts';
import { turn } from './turn.ts';
import { spawnBy } from './zygote.ts';

const gone = errnoNumber('ESRCH');
const noReader = errnoNumber('EPIPE');
/** What pidfd_open says of a thread that is no process: of old, and from 6.9 on. */
const noProcess = ['ESRCH', 'EINVAL', 'ENOENT'].map(errnoNumber);
const signalMax = 64;
const pidMax = 2 ** 22; // the kernel's own limit (PID_MAX_LIMIT)

/** A session with a new init, or why the kernel refused. */
export async function spawnInit({
  flags,
  cgroup,
  detached,
  errand,
  stayMs,
  looks,
  maps,
  children,
}: SpawnRequest): Promise<Session | Failure> {
  if (!Number.isSafeInteger(flags) || flags < 0) {
    throw new RuntsError('ERR_SPEC', `flags are CLONE_NEW* bits, not ${String(flags)}`);
  }
  // All that comes before one that is made again is done in one go.
  if (looks !== undefined) await turn();
  const directory = cgroup === undefined ? undefined : openHandle(cgroup, 'cgroup');
  const atHand = typeof errand === 'object' ? errand : undefined;
  const letter = atHand && letterOf(atHand);
  const handles = atHand && enclosed(atHand);
  const made = await new Promise<Session | Failure>((resolve, reject) => {
    let given = false;
    let refused: { readonly why: unknown } | undefined;
    const done: SpawnDone = (result, frames, code, signal, first, second): void => {
      try {
        if (refused !== undefined) throw refused.why;
        if (typeof result === 'number') {
          // Where nothing was written there is nothing to be found, as where none was made.
          if (first !== undefined || second !== undefined) fill(atHand!, [first, second]);
          resolve(endedSession(result, frames!, code, signal));
        } else if (isFailure(result)) resolve(result);
        else {
          if (atHand !== undefined) fill(atHand, result.outputs!);
          resolve(sessionOf(result, { detached, errand: given || result.errand === true }));
        }
      } catch (error) {
        reject(error); // no descriptor or no watch was left for it, or there is no errand
      }
    };
    const patience = detached === true ? undefined : stayMs;
    const channel = native.spawn(
      flags,
      directory,
      done,
      patience,
      looks && nativeLooks(looks),
      nativeMaps(maps),
      letter,
      handles,
      atHand?.fill?.text,
      children,
    );
    if (isFailure(channel)) {
      resolve(channel);
      return;
    }
    if (typeof errand !== 'function' || channel === undefined) return;
    try {
      given = give(channel, errand());
    } catch (why) {
      refused = { why };
    }
  });
  // And so is what is done with the news of it.
  if (looks !== undefined) await turn();
  return made;
}

/** Leaves an errand on a channel that nobody reads yet. Where its other end is gone already, why that is comes as the result. */
function give(channel: NativeHandle, errand: Errand | undefined): boolean {
  if (errand === undefined) return false;
  const { messages } = errand;
  const handles = errand.handles.map((handle) => openHandle(handle));
  for (const [i, message] of messages.entries()) {
    const sent = native.socketSend(channel, message, i === 0 ? handles : []);
    if (isFailure(sent) && sent.errno === noReader) return false;
    orThrow(sent);
  }
  return true;
}

/** Where they are for us to write. */
const nativeMaps = (maps: Maps | undefined): NativeMaps | undefined =>
  maps?.by === 'write' ? { uids: mapText(maps.uids), gids: mapText(maps.gids), setgroups: maps.setgroups } : undefined;

/** The port `Processes` over the addon. A refusal of the kernel rejects as a SystemError: the core knows the hints. */
export const processes: Processes = {
  spawn: async (request) => orThrow(await spawnInit(request)),
  spawnBy,
  forkBy,
  forkAhead,
  ahead: () => undefined,
  run,
  signal(process: Handle, signal: number): boolean {
    if (!Number.isInteger(signal) || signal < 0 || signal > signalMax) {
      throw new RuntsError('ERR_SPEC', `a signal is a number from 0 to ${signalMax}, not ${String(signal)}`);
    }
    if (process instanceof GoneProcess) return false;
    const failure = native.signal(openHandle(process, 'process'), signal);
    if (failure?.errno === gone) return false;
    orThrow(failure, undefined, 'pidfd_send_signal');
    return true;
  },
  find,
  ended: async (process) => ended(process),
  connect,
  inherited,
};

async function find(pid: number): Promise<Handle | undefined> {
  if (!Number.isInteger(pid) || pid < 1 || pid > pidMax) {
    throw new RuntsError('ERR_SPEC', `a process id is a number from 1 to ${pidMax}, not ${String(pid)}`);
  }
  const result = native.openProcess(pid);
  if (isFailure(result) && noProcess.includes(result.errno)) return undefined;
  return orThrow(result, `process ${pid}`, 'pidfd_open');
}

async function connect(path: string, pid: number, process: Handle): Promise<Session> {
  openHandle(process, 'process');
  const channel = await connectTo(path, { packets: true });
  try {
    return new NodeSession({ pid, process, channel, ours: false });
  } catch (error) {
    channel.close(); // the process was closed meanwhile, or no descriptor or watch was left
    throw error;
  }
}
