import type { Exit, Handle } from '../../host/host.ts';
import type { Signals } from '../signals.ts';
import type { World } from '../world.ts';

/** A process that we stay with until it ends. */
export interface Attended {
  readonly exit: Promise<Exit>;
  readonly signal: (signal: number) => void;
  /** The other end of its terminal, where it has one. */
  readonly console: Handle | undefined;
}

/** Joins our terminal to that of a process while some work is done, and gives it back as it was whatever comes of it. */
export async function joined<T>(
  console: Handle | undefined,
  { terminal }: World,
  work: (shown: Promise<void>) => Promise<T>,
): Promise<T> {
  if (console === undefined) return work(Promise.resolve());
  const { done, release } = terminal.join(console);
  try {
    return await work(done);
  } finally {
    release();
  }
}

/** Passes on the signals that come to us until the process has ended, and all that it wrote is shown. */
export async function attend({ exit, signal }: Attended, signals: Signals, shown: Promise<void>): Promise<number> {
  signals.passTo(signal);
  const ended = await exit;
  signals.drop();
  await shown;
  return exitCode(ended);
}

/** As a shell shows it. */
export const exitCode = ({ code, signal }: Exit): number => code ?? 128 + (signal ?? 0);
