import { RuntsError } from '../errors.ts';
import type { ForkRequest, Session } from '../host/host.ts';
import { enclosed, fill, letterOf } from './errand.ts';
import { isFailure } from './failure.ts';
import { openHandle } from './handle.ts';
import { type Failure, native, type SpawnDone } from './native.ts';
import { NodeSession } from './session.ts';
import { endedSession, sessionOf } from './spawned.ts';

/** The init that a zygote makes as a copy of itself (`Processes.forkBy`), or why there is none. */
export function forkBy(zygote: Session, request: ForkRequest): Promise<Session | Failure> {
  const { cgroup, errand, stayMs, children } = request;
  return new Promise((resolve, reject) => {
    if (!(zygote instanceof NodeSession)) throw new RuntsError('ERR_INTERNAL', 'a zygote that is not of this host');
    const done: SpawnDone = (result, frames, code, signal, first, second): void => {
      try {
        if (typeof result === 'number') {
          fill(errand, [first, second]);
          resolve(endedSession(result, frames!, code, signal));
        } else if (isFailure(result)) resolve(result);
        else {
          fill(errand, result.outputs!);
          resolve(sessionOf(result, { errand: true }));
        }
      } catch (error) {
        reject(error); // no descriptor or no watch was left for it
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
    if (refusal !== undefined) resolve(refusal);
  });
}
