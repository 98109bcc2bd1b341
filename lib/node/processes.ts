import { RuntsError } from '../errors.ts';
import type { Handle, Kernel, Processes, Sockets, SpawnRequest } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { isFailure, orThrow } from './failure.ts';
import { openHandle } from './handle.ts';
import { type Failure, native } from './native.ts';
import { run } from './run.ts';
import { NodeSession } from './session.ts';

const gone = errnoNumber('ESRCH');
const signalMax = 64;

/** A session with a new init, or why the kernel refused. */
export async function spawnInit({ flags, cgroup }: SpawnRequest): Promise<NodeSession | Failure> {
  if (!Number.isSafeInteger(flags) || flags < 0) {
    throw new RuntsError('ERR_SPEC', `flags are CLONE_NEW* bits, not ${String(flags)}`);
  }
  const directory = cgroup === undefined ? undefined : openHandle(cgroup, 'cgroup');
  return new Promise((resolve, reject) => {
    const failure = native.spawn(flags, directory, (result) => {
      try {
        resolve(isFailure(result) ? result : new NodeSession(result));
      } catch (error) {
        reject(error); // no descriptor or no watch was left for it
      }
    });
    if (failure !== undefined) resolve(failure);
  });
}

/** The port `Processes` over the addon. A refusal of the kernel rejects as a SystemError: the core knows the hints. */
export const processes: Processes = {
  spawn: async (request) => orThrow(await spawnInit(request)),
  run,
  signal(process: Handle, signal: number): boolean {
    const handle = openHandle(process, 'process');
    if (!Number.isInteger(signal) || signal < 0 || signal > signalMax) {
      throw new RuntsError('ERR_SPEC', `a signal is a number from 0 to ${signalMax}, not ${String(signal)}`);
    }
    const failure = native.signal(handle, signal);
    if (failure?.errno === gone) return false;
    orThrow(failure, 'pidfd_send_signal');
    return true;
  },
  find: notYet,
  ended: notYet,
  connect: notYet,
  inherited: notYet,
};

export const sockets: Sockets = { listen: notYet, deliver: notYet, connect: notYet };
export const kernel: Kernel = { blob: notYet, filterDevices: notYet };

function notYet(): never {
  throw new RuntsError('ERR_INTERNAL', 'not there yet');
}
