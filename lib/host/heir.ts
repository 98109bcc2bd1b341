import { type Heir, heirProgram, keeperTag } from '../plan/keeper.ts';
import type { Patience } from './bounded.ts';
import type { Host } from './host.ts';
import { startProgram } from './program.ts';
import { endSession } from './session.ts';

export type { Heir } from '../plan/keeper.ts';

/** Starts a process that becomes another one when we are gone, however that comes; gives what ends it before. */
export async function startHeir(host: Host, heir: Heir, patience: Patience): Promise<() => Promise<void>> {
  const program = { segment: heirProgram(heir), tag: keeperTag, doing: 'start what cleans up' };
  const session = await startProgram(host, program, patience);
  session.hold(false);
  let ended: Promise<void> | undefined;
  return () => {
    ended ??= endSession(host, session, patience.deadlineMs);
    return ended;
  };
}
