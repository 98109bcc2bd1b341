import { RuntsError } from '../errors.ts';
import type { Errand, Handle, Processes, Session, SpawnRequest } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { ended } from './ended.ts';
import { isFailure, orThrow } from './failure.ts';
import { openHandle } from './handle.ts';
import { inherited } from './inherited.ts';
import { type Failure, type NativeHandle, native, type Spawned } from './native.ts';
import { run } from './run.ts';
import { NodeSession } from './session.ts';
import { connectTo } from './sockets.ts';
import { spawnBy } from './zygote.ts';

const gone = errnoNumber('ESRCH');
/** What pidfd_open says of a thread that is no process: of old, and from 6.9 on. */
const noProcess = ['ESRCH', 'EINVAL', 'ENOENT'].map(errnoNumber);
const signalMax = 64;
const pidMax = 2 ** 22; // the kernel's own limit (PID_MAX_LIMIT)

/** A session with a new init, or why the kernel refused. */
export async function spawnInit({ flags, cgroup, detached, errand }: SpawnRequest): Promise<NodeSession | Failure> {
  if (!Number.isSafeInteger(flags) || flags < 0) {
    throw new RuntsError('ERR_SPEC', `flags are CLONE_NEW* bits, not ${String(flags)}`);
  }
  const directory = cgroup === undefined ? undefined : openHandle(cgroup, 'cgroup');
  return new Promise((resolve, reject) => {
    let given = false;
    let refused: { readonly why: unknown } | undefined;
    const done = (result: Spawned | Failure): void => {
      try {
        if (refused !== undefined) throw refused.why;
        resolve(isFailure(result) ? result : new NodeSession({ ...result, ours: true, detached, errand: given }));
      } catch (error) {
        reject(error); // no descriptor or no watch was left for it, or there is no errand
      }
    };
    const channel = native.spawn(flags, directory, done);
    if (isFailure(channel)) {
      resolve(channel);
      return;
    }
    try {
      given = give(channel, errand?.());
    } catch (why) {
      refused = { why };
    }
  });
}

/** Leaves an errand on a channel that nobody reads yet. */
function give(channel: NativeHandle, errand: Errand | undefined): boolean {
  if (errand === undefined) return false;
  const handles = errand.handles.map((handle) => openHandle(handle));
  orThrow(native.socketSend(channel, errand.message, handles));
  return true;
}

/** The port `Processes` over the addon. A refusal of the kernel rejects as a SystemError: the core knows the hints. */
export const processes: Processes = {
  spawn: async (request) => orThrow(await spawnInit(request)),
  spawnBy,
  run,
  signal(process: Handle, signal: number): boolean {
    const handle = openHandle(process, 'process');
    if (!Number.isInteger(signal) || signal < 0 || signal > signalMax) {
      throw new RuntsError('ERR_SPEC', `a signal is a number from 0 to ${signalMax}, not ${String(signal)}`);
    }
    const failure = native.signal(handle, signal);
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
