import { RuntsError, specError } from '../errors.ts';
import { parseBytes } from '../spec/bytes.ts';
import { checkOptions, runOptionChecks } from '../spec/check-options.ts';
import type { ContainerOptions, RunOptions } from '../spec/options.ts';
import { Container } from './container.ts';
import type { Home } from './home.ts';
import { Collector } from './output.ts';
import { type Exit, ExitError, type Result } from './result.ts';

/** How much of each stream is kept unless `maxOutput` says otherwise. */
const outputBytesMax = 100 * 1024 * 1024;
/** After a timeout or a cancellation, how long the command may take to end by itself. */
const graceMs = 1000;

/** Runs a command in a container of its own and collects what it writes; the container is gone when this settles. */
export async function runContainer(home: Home, given: ContainerOptions & RunOptions): Promise<Result> {
  const issues = checkOptions(given, runOptionChecks);
  if (issues.length > 0) throw specError('cannot run a container of these options', issues);
  const { input, timeout, reject = true, maxOutput, signal, ...rest } = given;
  const cancel = signal as AbortSignal | undefined;
  if (cancel?.aborted)
    throw new RuntsError('ERR_CANCELED', 'canceled before the container was made', { cause: cancel.reason });
  const options = { ...rest, ...(input !== undefined && { stdin: 'pipe' as const }) } as ContainerOptions;

  const began = performance.now();
  const limits = new Limits(timeout, cancel);
  try {
    const container = await limits.making(() => Container.create(home, { ...options, signal: limits.signal }));
    try {
      const bytesMax = parseBytes(maxOutput) ?? outputBytesMax;
      const [stdout, stderr] = [container.stdout, container.stderr].map((s) => s && new Collector(s, bytesMax));
      feed(container, input);
      await limits.making(() => container.start({ signal: limits.signal }));
      const exit = await limits.untilExit(container);
      await Promise.all([stdout?.ended, stderr?.ended]);
      const { command } = await container.inspect();
      const { timedOut, canceled } = limits;
      const result: Result = {
        ...exit,
        command,
        stdout: stdout?.text() ?? '',
        stderr: stderr?.text() ?? '',
        durationMs: performance.now() - began,
        failed: timedOut || canceled || exit.exitCode !== 0,
        timedOut,
        canceled,
        truncated: stdout?.truncated === true || stderr?.truncated === true,
      };
      if (result.failed && reject) throw new ExitError(result, cancel?.reason);
      return result;
    } finally {
      await container.remove({ force: true });
    }
  } finally {
    limits.clear();
  }
}

/** The timeout and the AbortSignal of a run: before the command runs they cancel the making, then they stop it. */
class Limits {
  timedOut = false;
  canceled = false;
  readonly #timeout: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #cancel: AbortSignal | undefined;
  readonly #making = new AbortController();
  readonly #reached: Promise<void>;
  #reach!: () => void;
  #isMade = false;

  constructor(timeout: number | undefined, cancel: AbortSignal | undefined) {
    this.#reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#timeout = timeout;
    this.#timer = timeout === undefined ? undefined : setTimeout(() => this.#end('timedOut'), timeout);
    this.#cancel = cancel;
    cancel?.addEventListener('abort', this.#aborted, { once: true });
  }

  readonly #aborted = (): void => this.#end('canceled');

  get signal(): AbortSignal {
    return this.#making.signal;
  }

  async making<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!this.timedOut) throw error;
      throw new RuntsError('ERR_TIMEOUT', `the container was not running after ${this.#timeout} ms`, { cause: error });
    }
  }

  async untilExit(container: Container): Promise<Exit> {
    this.#isMade = true;
    const exit = await Promise.race([container.wait(), this.#reached]);
    return exit ?? container.stop({ grace: graceMs });
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#cancel?.removeEventListener('abort', this.#aborted);
  }

  #end(why: 'timedOut' | 'canceled'): void {
    if (this.timedOut || this.canceled) return;
    this[why] = true;
    this.#reach();
    if (!this.#isMade) this.#making.abort(this.#cancel?.reason);
  }
}

/** A command need not read its input: that it ends first is no error. */
function feed(container: Container, input: RunOptions['input']): void {
  if (input === undefined) return;
  container.stdin?.on('error', () => {});
  container.stdin?.end(input);
}
