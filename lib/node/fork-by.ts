import { RuntsError } from '../errors.ts';
import type { Errand, ForkRequest, Session, Waiting } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { enclosed, fill, letterOf } from './errand.ts';
import { orThrow, systemError } from './failure.ts';
import { openHandle } from './handle.ts';
import { type NativeAhead, type NativeChannel, native, type SpawnDone, type Spawned } from './native.ts';
import { NodeSession } from './session.ts';
import { endedSession, sessionOf } from './spawned.ts';

const noReader = errnoNumber('EPIPE');

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
    const refusal = native.spawnBy(
      channelOf(zygote),
      openHandle(zygote.process),
      cgroup && openHandle(cgroup, 'cgroup'),
      settling(errand, resolve, reject),
      stayMs,
      children,
      letterOf(errand),
      enclosed(errand),
      errand.fill?.text,
    );
    orThrow(refusal);
  });
}

/** One that waits (`Processes.forkAhead`). */
export function forkAhead(zygote: Session, request: ForkRequest): Waiting {
  const { cgroup, errand } = request;
  const made = native.spawnAhead(
    channelOf(zygote),
    openHandle(zygote.process),
    cgroup && openHandle(cgroup, 'cgroup'),
    letterOf(errand),
    enclosed(errand),
    errand.fill?.text,
  );
  return new WaitingCopy(request, orThrow(made));
}

class WaitingCopy implements Waiting {
  readonly #request: ForkRequest;
  #made: NativeAhead | undefined;

  constructor(request: ForkRequest, made: NativeAhead) {
    this.#request = request;
    this.#made = made;
  }

  letGo(word: Uint8Array): Promise<Session> {
    const { errand, stayMs, children } = this.#request;
    return new Promise((resolve, reject) => {
      const made = this.#take();
      if (made === undefined) throw systemError(noReader, 'sendmsg');
      native.letGo(made, word, settling(errand, resolve, reject), stayMs, children);
    });
  }

  close(): Promise<void> {
    const made = this.#take();
    return made === undefined ? Promise.resolve() : new Promise((resolve) => native.endAhead(made, resolve));
  }

  #take(): NativeAhead | undefined {
    const made = this.#made;
    this.#made = undefined;
    return made;
  }
}

function channelOf(zygote: Session): NativeChannel {
  if (!(zygote instanceof NodeSession)) throw new RuntsError('ERR_INTERNAL', 'a zygote that is not of this host');
  return zygote.channel;
}

/** Takes what becomes of an init, and of the pipes that were made for its errand. */
const settling =
  (errand: Errand, resolve: (session: Session) => void, reject: (error: unknown) => void): SpawnDone =>
  (result, frames, code, signal, first, second) => {
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
