import { setTimeout as sleep } from 'node:timers/promises';
import type { RestartPolicy } from '../../spec/options.ts';
import type { Exit } from '../result.ts';
import type { DetachedContainer } from './container.ts';
import type { DetachedState } from './record.ts';

/** As docker has it: a container that ends at once is not started again at once, for ever. */
const firstPauseMs = 100;
const pauseMsMax = 60_000;
/** Who ran so long is begun anew with. */
const soundMs = 10_000;

/** Whether a policy wants a container that has ended to run; `restore`: for who comes to look after all that there are. */
export function isDue(
  { policy, retries }: RestartPolicy,
  { wanted, restarts, process }: DetachedState,
  exit: Exit,
  how: 'ended' | 'restore',
): boolean {
  if (policy === 'no' || process === undefined) return false;
  if (policy === 'always') return wanted || how === 'restore';
  if (policy === 'unless-stopped') return wanted;
  return wanted && exit.exitCode !== 0 && (retries === undefined || retries === 0 || restarts < retries);
}

/** Looks on a container that runs: tells its end, and starts it again as its policy has it. Until the signal, and never rejects. */
export async function attend(container: DetachedContainer, signal: AbortSignal): Promise<void> {
  let pauseMs = firstPauseMs;
  try {
    while (!signal.aborted) {
      const began = performance.now();
      if (!(await untilEnd(container, signal))) return;
      const { record, state, exit } = await container.ending();
      if (exit === undefined) continue; // somebody was quicker, and it runs again
      container.tellEnd(exit);
      if (!isDue(record.restart, state, exit, 'ended')) return;
      if (performance.now() - began >= soundMs) pauseMs = firstPauseMs;
      await sleep(pauseMs, undefined, { signal, ref: false });
      pauseMs = Math.min(pauseMs * 2, pauseMsMax);
      await container.startAgain((now, ended) => isDue(record.restart, now, ended, 'ended'));
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
