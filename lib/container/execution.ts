import type { Executed } from '../host/exec.ts';
import type { Deadline } from './deadline.ts';
import { type Exit, exitOf } from './result.ts';

/** How long what a command left behind may hold its output, once the command was told to end. */
const lingerMs = 1000;

/** A command that was executed in a container, until it is over. */
export class Execution {
  readonly #executed: Executed;
  readonly #exit: Promise<Exit>;
  #ended = false;

  constructor(executed: Executed) {
    this.#executed = executed;
    this.#exit = executed.exit.then((exit) => {
      this.#ended = true;
      return exitOf(exit, false);
    });
  }

  /** False when it has ended. */
  signal(number: number): boolean {
    return !this.#ended && this.#executed.signal(number);
  }

  /** How it ended, once it has and its output is `closed`. */
  async over(deadline: Deadline, closed: Promise<unknown>): Promise<Exit> {
    const exit = await deadline.untilExit({ wait: () => this.#exit, stop: ({ grace }) => this.#stop(grace) });
    deadline.clear();
    // What it left running may hold its output for ever. Whoever told it to end does not wait for that.
    if (deadline.timedOut || deadline.canceled) await Promise.race([closed, sleep(lingerMs)]);
    else await closed;
    this.#executed.release();
    return exit;
  }

  async #stop(grace: number): Promise<Exit> {
    this.signal(terminate);
    const exit = await Promise.race([this.#exit, sleep(grace)]);
    if (exit !== undefined) return exit;
    this.signal(kill);
    return this.#exit;
  }
}

const terminate = 15;
const kill = 9;

/** Holds no program that could end. */
const sleep = (ms: number): Promise<undefined> =>
  new Promise((resolve) => setTimeout(() => resolve(undefined), ms).unref());
