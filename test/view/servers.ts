import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fields } from '../container/inside.ts';
import { patienceMs } from '../support/requires.ts';

/** What /proc says of the servers of system views that are children of a process: inits with a filter. */
export function serversOf(parent: number): Readonly<Record<string, string>>[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => fields(statusOf(pid)))
    .filter(({ Name, PPid, Seccomp }) => Name === 'runts-init' && Number(PPid) === parent && Seccomp === '2');
}

/** Waits for something, and gives it. */
export async function until<T>(what: string, find: () => T | Promise<T>): Promise<NonNullable<T>> {
  const end = Date.now() + patienceMs;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > end) throw new Error(`it did not come to that: ${what}`);
    await sleep(20);
  }
}

/** What is left of it where it has ended. */
export const statusOf = (pid: number | string): string => {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
};
