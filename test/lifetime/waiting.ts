import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants } from '../support/look.ts';
import { patienceMs } from '../support/requires.ts';
import type { Watched } from './copied.ts';

/** Executes until one that waited has done it: how that ended. */
export async function ahead<T>(seen: Watched, work: () => Promise<T>): Promise<T> {
  for (const giveUp = Date.now() + patienceMs; Date.now() < giveUp; await sleep(5)) {
    const before = seen.letGo;
    const result = await work();
    if (seen.letGo > before) return result;
  }
  throw new Error('nothing that waited has executed anything');
}

/** Executes until one waits for the next time: its pid. */
export async function waits(work: () => Promise<unknown>): Promise<number> {
  for (const giveUp = Date.now() + patienceMs; Date.now() < giveUp; ) {
    await work();
    for (let i = 0; i < 20; i++, await sleep(2)) {
      const [pid] = waiting();
      if (pid !== undefined) return pid;
    }
  }
  throw new Error('nothing waits');
}

/** Inits that are confined, and in our own PID namespace yet. */
export const waiting = () =>
  descendants().filter((pid) => {
    const status = statusOf(pid);
    return /^Name:\trunts-init$/m.test(status) && /^NSpid:\t\d+$/m.test(status) && /^Seccomp:\t2$/m.test(status);
  });

export function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}
