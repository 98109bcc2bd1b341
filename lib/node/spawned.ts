import type { Session } from '../host/host.ts';
import { EndedSession } from './ended-session.ts';
import { stepOf, systemError } from './failure.ts';
import { GoneProcess } from './gone-process.ts';
import type { Spawned } from './native.ts';
import { NodeSession, type Peer } from './session.ts';

/** The session with an init that there is. */
export function sessionOf(made: Spawned, { detached, errand }: Pick<Peer, 'detached' | 'errand'>): Session {
  const { pid, process, channel, mapped, unmapped: why, messages: heard = [], ended: exit } = made;
  if (exit !== undefined) {
    const { code, signal } = exit;
    return new EndedSession({ pid, process, exit: { code, signal }, said: [...heard] });
  }
  const unmapped = why && {
    file: why.detail,
    error: systemError(why.errno, stepOf(why), `/proc/${pid}/${why.detail}`),
  };
  return new NodeSession({ pid, process, channel: channel!, ours: true, detached, errand, mapped, unmapped, heard });
}

/** The session with one of which nothing is left but its frames. */
export const endedSession = (
  pid: number,
  frames: string,
  code: number | undefined,
  signal: number | undefined,
): Session => new EndedSession({ pid, process: new GoneProcess(), exit: { code, signal }, said: frames });
