import { setTimeout as sleep } from 'node:timers/promises';
import type { RestartPolicy } from '../spec/options.ts';
import type { Exit } from './result.ts';

/** As docker has it: a container that ends at once is not started again at once, for ever. */
const firstPauseMs = 100;
const pauseMsMax = 60_000;
/** Who ran so long is begun anew with. */
const soundMs = 10_000;

/** What a policy goes by. */
export interface Course {
  /** Nobody has stopped it. */
  readonly wanted: boolean;
  /** How often the policy has started it. */
  readonly restarts: number;
}

/** Whether a policy wants a container that has ended to run; `restore`: for who comes to look after all that there are. */
export function isDue(
  { policy, retries }: RestartPolicy,
  { wanted, restarts }: Course,
  exit: Exit,
  how: 'ended' | 'restore',
): boolean {
  if (policy === 'no') return false;
  if (policy === 'always') return wanted || how === 'restore';
  if (policy === 'unless-stopped') return wanted;
  return wanted && exit.exitCode !== 0 && (retries === undefined || retries === 0 || restarts < retries);
}

/** The pauses before the starts of one container, each as long as two of those before it. */
export class Pauses {
  #nextMs = firstPauseMs;

  /** How long to wait after a run of so many milliseconds. */
  after(ranMs: number): number {
    const pauseMs = ranMs >= soundMs ? firstPauseMs : this.#nextMs;
    this.#nextMs = Math.min(pauseMs * 2, pauseMsMax);
    return pauseMs;
  }
}

/** Says of a container that belongs to us when it is to be started again, until it is told to leave it. */
export class Restarts {
  readonly #policy: RestartPolicy;
  readonly #pauses = new Pauses();
  #left = false;
  /** Made for whoever waits: to abort one costs a stack trace, and most containers are never started again. */
  #leaving: AbortController | undefined;
  /** How often it has been. */
  count = 0;

  constructor(policy: RestartPolicy) {
    this.#policy = policy;
  }

  get isOff(): boolean {
    return this.#policy.policy === 'no';
  }

  /** Aborted when it is not to be started any more. */
  get signal(): AbortSignal {
    this.#leaving ??= new AbortController();
    if (this.#left) this.#leaving.abort();
    return this.#leaving.signal;
  }

  /** It was stopped, or removed. */
  leave(): void {
    this.#left = true;
    this.#leaving?.abort();
  }

  /** Whether it is to run again after such an end: told when it is time. The program stays for it. */
  async due(exit: Exit, ranMs: number): Promise<boolean> {
    if (!isDue(this.#policy, { wanted: !this.#left, restarts: this.count }, exit, 'ended')) return false;
    const { signal } = this;
    await sleep(this.#pauses.after(ranMs), undefined, { signal }).catch(() => undefined);
    return !signal.aborted;
  }
}
