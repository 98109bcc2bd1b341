import { setTimeout as sleep } from 'node:timers/promises';
import { isDue, Pauses } from '../restart-policy.ts';
import type { Exit } from '../result.ts';
import type { DetachedContainer } from './container.ts';
import type { DetachedRecord, DetachedState } from './record.ts';

/** Whether its policy wants it to run. */
export const isWanted = (
  { restart }: DetachedRecord,
  state: DetachedState,
  exit: Exit,
  how: 'ended' | 'restore',
): boolean => state.process !== undefined && isDue(restart, state, exit, how);

/** Looks on a container that runs: tells its end, and starts it again as its policy has it. Until the signal, and never rejects. */
export async function attend(container: DetachedContainer, signal: AbortSignal): Promise<void> {
  const pauses = new Pauses();
  try {
    while (!signal.aborted) {
      const began = performance.now();
      if (!(await untilEnd(container, signal))) return;
      const { record, state, exit } = await container.ending();
      if (exit === undefined) continue; // somebody was quicker, and it runs again
      container.tellEnd(exit);
      if (!isWanted(record, state, exit, 'ended')) return;
      await sleep(pauses.after(performance.now() - began), undefined, { signal, ref: false });
      await container.startAgain((now, ended) => isWanted(record, now, ended, 'ended'));
    }
  } catch {
    // It was removed, or cannot be started any more: what it has on disk says so to whoever asks.
  }
}

/** False where nobody is to be looked on any more. */
async function untilEnd(container: DetachedContainer, signal: AbortSignal): Promise<boolean> {
  const watch = await container.lookOn();
  if (watch === undefined) return true;
  let abort = (): void => {};
  const aborted = new Promise<void>((resolve) => {
    abort = resolve;
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) resolve();
  });
  try {
    await Promise.race([watch.ended, aborted]);
    return !signal.aborted;
  } finally {
    signal.removeEventListener('abort', abort);
    watch.close();
  }
}
