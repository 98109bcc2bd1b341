import type { Clock } from '../host/host.ts';

export const clock: Clock = {
  now: () => Date.now(),
  after: (ms) => (ms < longMs ? soon(ms) : late(ms)),
};

/** From here on it is the deadline of something, which is hardly ever reached. */
const longMs = 1000;
/** What a timer of Node can wait for. */
const timerMsMax = 2 ** 31 - 1;

function soon(ms: number): ReturnType<Clock['after']> {
  let timer: NodeJS.Timeout | undefined;
  const done = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return { done, cancel: () => clearTimeout(timer) };
}

interface Deadline {
  /** By `performance.now()`. */
  readonly due: number;
  reach(): void;
}

const deadlines = new Set<Deadline>();
/** One for all of them, for the next that is due, or for one that was and has been canceled: each of its own would cost 50 µs. */
let timer: NodeJS.Timeout | undefined;
let timerDue = Number.POSITIVE_INFINITY;

function late(ms: number): ReturnType<Clock['after']> {
  let reach!: () => void;
  const done = new Promise<void>((resolve) => {
    reach = resolve;
  });
  const deadline = { due: performance.now() + ms, reach };
  if (deadlines.size === 0) timer?.ref();
  deadlines.add(deadline);
  if (deadline.due < timerDue) arm(deadline.due);
  const cancel = (): void => {
    // A program ends in spite of it.
    if (deadlines.delete(deadline) && deadlines.size === 0) timer?.unref();
  };
  return { done, cancel };
}

function arm(due: number): void {
  clearTimeout(timer);
  timerDue = due;
  timer = setTimeout(fire, Math.min(Math.max(due - performance.now(), 0), timerMsMax));
}

function fire(): void {
  timer = undefined;
  timerDue = Number.POSITIVE_INFINITY;
  const now = performance.now();
  let next = Number.POSITIVE_INFINITY;
  for (const deadline of deadlines) {
    if (deadline.due > now) next = Math.min(next, deadline.due);
    else {
      deadlines.delete(deadline);
      deadline.reach();
    }
  }
  if (deadlines.size > 0) arm(next);
}
