import type { Readable, Writable } from 'node:stream';
import type { Created } from '../host/create.ts';
import { planAgain } from '../host/plan-again.ts';
import type { Prepared } from '../host/prepare.ts';
import { type Running, start } from '../host/start.ts';
import type { TerminalStream } from '../node/terminal.ts';
import { restartPolicy } from '../spec/detached.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { ContainerEvent } from './events.ts';
import { withholdAhead } from './exec-again.ts';
import type { Home } from './home.ts';
import { LogBook } from './logs.ts';
import { OwnRun } from './own-run.ts';
import { ranOutOfMemory } from './resources.ts';
import { Restarts } from './restart-policy.ts';
import { type Exit, exitOf } from './result.ts';
import { Output } from './streams.ts';

export interface CourseParts {
  readonly home: Home;
  readonly options: ContainerOptions;
  readonly prepared: Prepared;
  /** The first. */
  readonly run: OwnRun;
  tell(action: ContainerEvent['action'], exit?: Exit): void;
}

/** The runs of a container that belongs to us: one after the other, as its policy has it, with one log. */
export class OwnCourse {
  readonly book = new LogBook();
  readonly stdin: Writable | undefined;
  /** Its processes stand still. */
  paused = false;
  readonly #parts: CourseParts;
  readonly #stdout: Output | undefined;
  readonly #stderr: Output | undefined;
  readonly #restarts: Restarts;
  #run: OwnRun;
  #running: Running | undefined;
  #exit: Exit | undefined;
  #runEnded: Promise<Exit> | undefined;
  #ended: Promise<Exit> | undefined;
  #cleared: Promise<void> | undefined;
  #fault: unknown;
  #restarting: Promise<Running | undefined> | undefined;

  constructor(parts: CourseParts) {
    const { run, options } = parts;
    this.#parts = parts;
    this.#run = run;
    this.#restarts = new Restarts(restartPolicy(options.restart));
    this.stdin = run.stdin;
    this.#stdout = run.stdout && new Output('stdout', run.stdout);
    this.#stderr = run.stderr && new Output('stderr', run.stderr);
  }

  get created(): Created {
    return this.#run.created;
  }

  get terminal(): TerminalStream | undefined {
    return this.#run.terminal;
  }

  get stdout(): Readable | undefined {
    return this.#stdout?.stream;
  }

  get stderr(): Readable | undefined {
    return this.#stderr?.stream;
  }

  /** What was started last. */
  get running(): Running | undefined {
    return this.#running;
  }

  /** How that has ended. */
  get exit(): Exit | undefined {
    return this.#exit;
  }

  /** Its end. Never rejects. */
  get runEnded(): Promise<Exit> | undefined {
    return this.#runEnded;
  }

  /** The end after which nothing is started any more. Never rejects. */
  get ended(): Promise<Exit> | undefined {
    return this.#ended;
  }

  /** Nothing waits any more in what ran last. Never rejects. */
  get cleared(): Promise<void> | undefined {
    return this.#cleared;
  }

  /** Why it could not be started again, where that was its end. */
  get fault(): unknown {
    return this.#fault;
  }

  get restarts(): number {
    return this.#restarts.count;
  }

  /** Executes the command for the first time. */
  async start(cancel: AbortSignal | undefined): Promise<void> {
    this.#run.hold(true);
    const running = await start(this.created, { signal: cancel });
    this.#parts.tell('start');
    this.#ended = this.#follow(running);
  }

  /** Nothing is started any more: fulfilled when it is as it will be. */
  async leave(): Promise<void> {
    this.#restarts.leave();
    await this.#restarting;
  }

  /** Ends what runs, and releases it. */
  end(): Promise<void> {
    return this.#run.end();
  }

  /** No more is read of it, or written to it. */
  close(): void {
    this.#run.terminal?.destroy();
    this.stdin?.destroy();
    this.#stdout?.close();
    this.#stderr?.close();
    void this.#noMore();
    this.book.end();
  }

  async #follow(first: Running): Promise<Exit> {
    // Where it is not started again, whoever reads an output has its end as soon as it comes.
    if (this.#restarts.isOff) void this.#noMore();
    for (let running = first; ; ) {
      const began = performance.now();
      this.#running = running;
      this.#runEnded = this.#untilEnd(running);
      const exit = await this.#runEnded;
      const again = (await this.#restarts.due(exit, performance.now() - began)) && (await this.#startAgain());
      if (!again) break;
      running = again;
    }
    this.#run.hold(false);
    // All that had the other ends died with process 1: what is still in the pipes is all there is. Who listens, and does
    // not read, holds back the log, but not the news of the exit.
    void this.#noMore().then(() => this.book.end());
    return this.#exit!;
  }

  /** Of one run: records what is written, and notes the end. */
  async #untilEnd({ exit }: Running): Promise<Exit> {
    const { home, tell } = this.#parts;
    this.#stdout?.record(this.book);
    this.#stderr?.record(this.book);
    const end = await exit;
    const ended = exitOf(end, await ranOutOfMemory(home.host, this.created.cgroup));
    const { created } = this;
    this.#cleared = withholdAhead(created).then(() => void created.dropCgroup());
    await Promise.all([this.#stdout?.settled(), this.#stderr?.settled()]);
    // Whoever reads the log now has all of it, unless somebody holds a stream back.
    if ([this.#stdout, this.#stderr].every((output) => output?.isRead !== false)) this.book.flush();
    this.#exit = ended;
    this.paused = false;
    if (ended.oomKilled) tell('oom');
    tell('exit', ended);
    return ended;
  }

  /** By its policy. Undefined where it cannot be, or is not to be any more. */
  #startAgain(): Promise<Running | undefined> {
    this.#restarting = this.#newRun().catch((error: unknown) => {
      if (!this.#restarts.signal.aborted) this.#fault = error;
      return undefined;
    });
    return this.#restarting;
  }

  async #newRun(): Promise<Running | undefined> {
    const { home, options, prepared } = this.#parts;
    const cancel = this.#restarts.signal;
    await this.#cleared;
    await this.#run.release();
    const plan = await planAgain(home.host, await home.facts(), prepared);
    const run = await OwnRun.make({ id: prepared.request.id, home, options, prepared, plan, cancel });
    // Before it starts: a stream without a byte may have come to its end by the time that the start is known.
    if (run.stdout !== undefined) this.#stdout?.add(run.stdout);
    if (run.stderr !== undefined) this.#stderr?.add(run.stderr);
    try {
      run.hold(true);
      const running = await start(run.created, { signal: cancel });
      cancel.throwIfAborted();
      this.#begin(run);
      return running;
    } catch (error) {
      await run.end();
      throw error;
    }
  }

  #begin(run: OwnRun): void {
    this.book.flush();
    this.#run.hold(false);
    this.#run = run;
    this.#exit = undefined;
    this.#restarts.count++;
    this.#parts.tell('start');
  }

  /** Its outputs end with what comes of this run. */
  async #noMore(): Promise<void> {
    await Promise.all([this.#stdout?.over(), this.#stderr?.over()]);
  }
}
