import { RuntsError } from '../errors.ts';
import type { ForkRequest, Session } from '../host/host.ts';
import { enclosed, fill, letterOf } from './errand.ts';
import { orThrow } from './failure.ts';
import { openHandle } from './handle.ts';
import { native, type SpawnDone, type Spawned } from './native.ts';
import { NodeSession } from './session.ts';
import { endedSession, sessionOf } from './spawned.ts';

/** It ends where no descriptor or no watch is left for it; but it has begun. */
function watched(made: Spawned): Session {
  try {
    return sessionOf(made, { errand: true });
  } catch (cause) {
    throw new RuntsError('ERR_INTERNAL', 'cannot watch the init of a command, which was ended', { cause });
  }
}

/** The init that a zygote makes as a copy of itself (`Processes.forkBy`). */
export function forkBy(zygote: Session, request: ForkRequest): Promise<Session> {
  const { cgroup, errand, stayMs, children } = request;
  return new Promise((resolve, reject) => {
    if (!(zygote instanceof NodeSession)) throw new RuntsError('ERR_INTERNAL', 'a zygote that is not of this host');
    const done: SpawnDone = (result, frames, code, signal, first, second): void => {
      try {
        if (typeof result === 'number') {
          // Where nothing was written there is nothing to be found, as where none was made.
          if (first !== undefined || second !== undefined) fill(errand, [first, second]);
          resolve(endedSession(result, frames!, code, signal));
        } else {
          const made = orThrow(result);
          fill(errand, made.outputs!);
          resolve(watched(made));
        }
      } catch (error) {
        reject(error);
      }
    };
    const refusal = native.spawnBy(
      zygote.channel,
      openHandle(zygote.process),
      cgroup && openHandle(cgroup, 'cgroup'),
      done,
      stayMs,
      children,
      letterOf(errand),
      enclosed(errand),
      errand.fill?.text,
    );
    orThrow(refusal);
  });
}
