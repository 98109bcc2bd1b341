import { setTimeout as sleep } from 'node:timers/promises';
import { RuntsError } from '../errors.ts';
import { untilAborted } from '../node/aborted.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Container } from './container.ts';
import type { StartOptions } from './options.ts';
import type { Exit } from './result.ts';

const never = new Promise<never>(() => {});
const settleMs = 20;

export interface Becoming {
  readonly ready: ContainerOptions['ready'];
  readonly ended: Promise<Exit>;
  readonly cancel: AbortSignal | undefined;
}

/** Waits for the condition of a container that was started; one that ends before fails, with what it wrote. */
export async function becomeReady(container: Container, { ready, ended, cancel }: Becoming): Promise<void> {
  if (ready === undefined) return;
  const controller = new AbortController();
  const signal = cancel === undefined ? controller.signal : AbortSignal.any([controller.signal, cancel]);
  const condition = ready(container, signal);
  const early = ended.then(async (exit) => {
    // For a condition that is about the end itself: it has heard of it at the same moment.
    await Promise.race([condition.catch(() => {}), sleep(settleMs)]);
    const lines: string[] = [];
    for await (const line of container.logs({ tail: 10 })) lines.push(`  ${line.text}`);
    const how = exit.signal ?? `exit code ${exit.exitCode}`;
    throw new RuntsError(
      'ERR_NOT_READY',
      [`container ${container.name} ended (${how}) before it was ready`, ...lines].join('\n'),
    );
  });
  try {
    await Promise.race([condition, early, ...(cancel === undefined ? [] : [untilAborted(never, cancel)])]);
  } finally {
    controller.abort();
    early.catch(() => {});
  }
}

/** Starts something in so many milliseconds, or until the signal. */
export async function inTime<T>(
  { timeout, signal }: StartOptions,
  starting: (cancel: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const limit = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
  const signals = [signal, limit].filter((each) => each !== undefined);
  try {
    return await starting(signals.length < 2 ? signals[0] : AbortSignal.any(signals));
  } catch (error) {
    if (!limit?.aborted) throw error;
    throw new RuntsError('ERR_TIMEOUT', `the container was not ready after ${timeout} ms`, { cause: error });
  }
}
