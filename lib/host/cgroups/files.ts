import { RuntsError } from '../../errors.ts';
import { errnoOf, refused } from '../failure.ts';
import type { Host } from '../host.ts';

/** How long the kernel may take: processes to be gone, to be frozen, a directory to be free. */
export const patienceMs = 10_000;

/** The words of a control file. */
export const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

/** Does something to a cgroup; what the kernel refuses says what it was, and where it was asked for. */
export async function attempted<T>(work: Promise<T>, doing: string, origin?: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw refused(error, { at: 'cgroup', doing, origin });
  }
}

/** What is gone needs no release. ENODEV: it went while its file was open. */
export const isGone = (error: unknown): boolean => ['ENOENT', 'ENODEV'].includes(errnoOf(error) ?? '');
export const isBusy = (error: unknown): boolean => ['EBUSY', 'ENOTEMPTY'].includes(errnoOf(error) ?? '');

export function unlessGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

/** The text of a control file; undefined where there is none. */
export async function textIn(host: Host, path: string, file: string): Promise<string | undefined> {
  return host.cgroups.read(`${path}/${file}`).catch((error: unknown) => {
    unlessGone(error);
    return undefined;
  });
}

export interface CgroupState {
  readonly populated: boolean;
  readonly frozen: boolean;
}

/** Undefined where it is gone; the top of the hierarchy has no state. */
export async function stateOf(host: Host, path: string): Promise<CgroupState | undefined> {
  const text = await textIn(host, path, 'cgroup.events');
  if (text === undefined) return undefined;
  return { populated: /^populated 1$/m.test(text), frozen: /^frozen 1$/m.test(text) };
}

/** Asks again and again, ever less often, for ten seconds at most unless it may take longer. */
export async function until(
  host: Host,
  done: () => Promise<boolean>,
  what: string,
  hint: string,
  limitMs = patienceMs,
): Promise<void> {
  const start = host.clock.now();
  for (let pauseMs = 1; !(await done()); pauseMs = Math.min(pauseMs * 2, 50)) {
    if (host.clock.now() - start >= limitMs) {
      throw new RuntsError('ERR_TIMEOUT', `waited ${limitMs} ms for ${what}`, { hint });
    }
    await host.clock.after(pauseMs).done;
  }
}
