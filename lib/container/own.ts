import type { Readable, Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import { type Created, createContainer as createInHost } from '../host/create.ts';
import type { Exit as ProcessExit } from '../host/host.ts';
import { kill, stop } from '../host/kill.ts';
import { type Prepared, prepare } from '../host/prepare.ts';
import { remove } from '../host/remove.ts';
import { type Running, start } from '../host/start.ts';
import { Undo, withReleaseErrors } from '../host/undo.ts';
import { traced } from '../node/debug.ts';
import { type Holding, openStdio, type Stdio } from '../node/stdio.ts';
import { openTerminal, type TerminalStream } from '../node/terminal.ts';
import { tags } from '../plan/plan.ts';
import type { ExecOptions } from '../spec/exec-options.ts';
import type { ContainerOptions, Limits, RunOptions } from '../spec/options.ts';
import { sentSignal } from '../spec/signals.ts';
import { type Address, addressOf } from './address.ts';
import { becomeReady, timedOut, untilAborted } from './become-ready.ts';
import type { Container } from './container.ts';
import { type CopyOptions, copyFrom, copyTo, type Living } from './copy.ts';
import type { ContainerEvent } from './events.ts';
import { execute, spawn } from './exec.ts';
import type { Home } from './home.ts';
import { containerImage } from './image.ts';
import type { ContainerInfo, Status } from './info.ts';
import { LogBook, type LogLine, type LogOptions } from './logs.ts';
import { type RemoveOptions, type StartOptions, type StopOptions, targets } from './options.ts';
import { pipeOwner } from './owner.ts';
import type { Process } from './process.ts';
import { changeLimits, needCgroup, ranOutOfMemory, type Stats, statsOf } from './resources.ts';
import { type Exit, exitOf, type Result } from './result.ts';
import type { Snapshot, SnapshotOptions } from './snapshot.ts';
import { Output } from './streams.ts';

/** A container that belongs to the process that made it, and ends with it: made, then started, once. */
export class OwnContainer implements Container {
  readonly id: string;
  readonly name: string;
  readonly #options: ContainerOptions;
  readonly #home: Home;
  readonly #prepared: Prepared;
  readonly #host: Created;
  readonly #undo: Undo;
  readonly #book = new LogBook();
  readonly #createdAt = new Date();
  readonly #stdin: Writable | undefined;
  readonly #stdout: Output | undefined;
  readonly #stderr: Output | undefined;
  readonly #terminal: TerminalStream | undefined;
  readonly #streams: readonly Holding[];
  #running: Running | undefined;
  #exit: Exit | undefined;
  #ended: Promise<Exit> | undefined;
  #paused = false;
  #removed = false;
  /** Ends what still reads or writes its files. */
  readonly #leaving = new AbortController();
  /** What was made for it is gone, too. */
  #gone = false;
  #keepsVolumes = false;

  private constructor(parts: Parts) {
    const { id, home, options, prepared, created, stdio, undo } = parts;
    this.id = id;
    this.name = options.name ?? id.slice(0, 12);
    this.#options = options;
    this.#home = home;
    this.#prepared = prepared;
    this.#host = created;
    this.#undo = undo;
    const master = created.handles.get(tags.console);
    this.#terminal = master === undefined ? undefined : openTerminal(master);
    const streams = [this.#terminal, stdio?.stdin, stdio?.stdout, stdio?.stderr];
    this.#streams = streams.filter((stream) => stream !== undefined);
    // A program that makes a container and does not start it may end.
    this.#hold(false);
    this.#stdin = this.#terminal ?? stdio?.stdin;
    const [stdout, stderr] = [this.#terminal ?? stdio?.stdout, stdio?.stderr];
    this.#stdout = stdout && new Output(stdout);
    this.#stderr = stderr && new Output(stderr);
  }

  /**
   * Makes a container that is ready to start: everything that can be wrong with it is found here. `counted`: with a cgroup
   * where there can be one, also where nothing is limited.
   */
  static async create(home: Home, options: ContainerOptions, { counted = true } = {}): Promise<OwnContainer> {
    const undo = new Undo();
    const cancel = options.signal as AbortSignal | undefined;
    let container: OwnContainer | undefined;
    try {
      const { host, images, snapshots, volumes } = home;
      const facts = await home.facts();
      const id = home.newId();
      const ownStdio = [options.stdout ?? 'pipe', options.stderr ?? 'pipe'].every((target) => target === 'pipe');
      const ports = { images, snapshots, volumes };
      const prepared = await prepare(host, facts, { ...ports, options, id, ownStdio, counted, cancel });
      undo.add(() => prepared.release({ keepVolumes: container === undefined ? false : container.#keepsVolumes }));
      const stdio = prepared.terminal
        ? undefined
        : await openStdio({
            ...targets(options),
            owner: pipeOwner(prepared.plan, prepared.spec.process!.user, facts.privileged),
          });
      if (stdio !== undefined) undo.add(() => stdio.close());
      const watched = { signal: cancel, facts, ...traced(id, prepared.plan.segment) };
      const created = await createInHost(host, prepared.plan, { ...watched, stdio: stdio?.handles });
      undo.add(() => remove(created));
      for (const handle of stdio?.handles ?? []) handle.close();
      container = new OwnContainer({ id, home, options, prepared, created, stdio, undo });
      home.adopt(container);
      const adopted = container;
      undo.add(() => home.forget(adopted));
      container.#tell('create');
      container.#obey(cancel);
      return container;
    } catch (error) {
      throw withReleaseErrors(error, await (container === undefined ? undo.run() : container.#release()));
    }
  }

  get status(): Status {
    if (this.#removed || this.#exit !== undefined) return 'stopped';
    if (this.#running === undefined) return 'created';
    return this.#paused ? 'paused' : 'running';
  }

  /** Of its first process, as the host counts them. */
  get pid(): number | undefined {
    return this.status === 'stopped' ? undefined : this.#host.session.pid;
  }

  /** The standard input of the command, with `stdin: 'pipe'` or a terminal. */
  get stdin(): Writable | undefined {
    return this.#stdin;
  }

  /** What the command writes, from now on; whoever reads it sets the pace. Nobody has to: the log is always read. */
  get stdout(): Readable | undefined {
    return this.#stdout?.stream;
  }

  get stderr(): Readable | undefined {
    return this.#stderr?.stream;
  }

  /** Executes the command. Fulfilled once it runs, and `ready` holds. On a failure the container is removed. */
  async start({ timeout, signal }: StartOptions = {}): Promise<this> {
    this.#mustExist();
    const limit = timeout === undefined ? undefined : AbortSignal.timeout(timeout);
    const signals = [signal, limit].filter((s) => s !== undefined);
    const cancel = signals.length === 0 ? undefined : AbortSignal.any(signals);
    try {
      this.#hold(true);
      this.#running = await start(this.#host, { signal: cancel });
      this.#tell('start');
      this.#ended = this.#follow(this.#running.exit);
      await becomeReady(this, { ready: this.#options.ready, ended: this.#ended, cancel });
      return this;
    } catch (error) {
      const cause = limit?.aborted ? timedOut(timeout as number, error) : error;
      throw withReleaseErrors(cause, await this.#release());
    }
  }

  /** How the command ends, once it has. */
  async wait({ signal }: { readonly signal?: AbortSignal } = {}): Promise<Exit> {
    if (this.#exit !== undefined) return this.#exit;
    if (this.#ended === undefined) throw this.#wrongState('wait for it');
    return signal === undefined ? this.#ended : untilAborted(this.#ended, signal);
  }

  /** `stopSignal`, then SIGKILL after `grace` ms. Safe to call twice. */
  async stop({ signal, grace = 10_000 }: StopOptions = {}): Promise<Exit> {
    if (this.#exit !== undefined) return this.#exit;
    if (this.#running === undefined || this.#ended === undefined) throw this.#wrongState('stop it');
    const number = signal === undefined ? this.#prepared.stopSignal : sentSignal(signal);
    // What does not run hears of no signal.
    if (this.#paused) await this.resume();
    await stop(this.#running, { signal: number, graceMs: grace });
    return this.#ended;
  }

  /** Sends a signal to the command; SIGKILL unless another is named. */
  async kill(signal = 'SIGKILL'): Promise<void> {
    const number = sentSignal(signal);
    if (this.status === 'stopped') throw this.#wrongState('signal it');
    kill(this.#host, number);
  }

  /** Stops all its processes where they are, until `resume()`. */
  async pause(): Promise<void> {
    if (this.status !== 'running') throw this.#wrongState('pause it');
    await needCgroup(this.#host.cgroup, `pause container ${this.name}`).freeze();
    this.#paused = true;
    this.#tell('pause');
  }

  /** Lets a paused container go on. */
  async resume(): Promise<void> {
    if (this.status !== 'paused') throw this.#wrongState('resume it');
    await needCgroup(this.#host.cgroup, `resume container ${this.name}`).thaw();
    this.#paused = false;
    this.#tell('resume');
  }

  /** What it uses at this moment, and has used so far. */
  async stats(): Promise<Stats> {
    if (this.status === 'stopped') throw this.#wrongState('tell what it uses');
    return statsOf(this.#home, needCgroup(this.#host.cgroup, `tell what container ${this.name} uses`));
  }

  /** Changes its limits; those that are not named stay. */
  async update(limits: Limits): Promise<void> {
    if (this.status === 'stopped') throw this.#wrongState('change its limits');
    await changeLimits(
      this.#home,
      needCgroup(this.#host.cgroup, `change the limits of container ${this.name}`),
      limits,
    );
  }

  /**
   * Unpacks a tar archive into a directory of it, which must be there. What is there stays, but for files of the same name;
   * owners are ids of the container.
   */
  async copyIn(tar: AsyncIterable<Uint8Array>, target: string, options: CopyOptions = {}): Promise<void> {
    await copyTo(this.#living('copy to it'), tar, target, options);
  }

  /** A tar archive of a file or a directory of it, under its last name; of `/` without one. */
  async copyOut(source: string, options: CopyOptions = {}): Promise<Readable> {
    return copyFrom(this.#living('copy from it'), source, options);
  }

  /** Keeps what its root file system has now, for new containers: `createContainer({ from: snapshot })`. */
  async snapshot(options: SnapshotOptions = {}): Promise<Snapshot> {
    this.#mustExist();
    const subject = { container: this, image: this.#prepared.image, options: this.#options };
    return this.#home.snapshots.take(subject, options);
  }

  /** Runs one more command in it, to its end, and gives what it wrote. Rejects with ExitError unless `reject: false`. */
  async exec(command: readonly string[], options: ExecOptions & RunOptions = {}): Promise<Result> {
    return execute(this.#joinable(), command, options);
  }

  /** Starts one more command in it, and hands over its streams. */
  async spawn(command: readonly string[], options: ExecOptions = {}): Promise<Process> {
    return spawn(this.#joinable(), command, options);
  }

  /** What it wrote, line by line; with `follow` until it ends. */
  logs(options: LogOptions = {}): AsyncIterable<LogLine> {
    return this.#book.read(options);
  }

  /** Where this process reaches a port of it. ERR_UNSUPPORTED where its network is not the host's. */
  address(port: number): Address {
    return addressOf(this.name, this.#prepared.spec, port);
  }

  /** Tells a container with a terminal that its window has another size. */
  resize(size: { readonly columns: number; readonly rows: number }): void {
    if (this.#terminal === undefined) {
      throw new RuntsError('ERR_STATE', `container ${this.name} has no terminal`, { hint: 'Make it with tty: true.' });
    }
    this.#terminal.resize(size);
  }

  async inspect(): Promise<ContainerInfo> {
    return {
      id: this.id,
      name: this.name,
      status: this.status,
      pid: this.pid,
      command: this.#prepared.command,
      labels: { ...this.#prepared.image?.config.Labels, ...this.#options.labels },
      image: containerImage(this.#prepared.image),
      created: this.#createdAt,
      exit: this.#exit,
      detached: false,
      restarts: 0,
    };
  }

  /**
   * Removes a container that does not run; with `force` any, which ends it. Volumes that nobody has named go with it, unless
   * `volumes` is false. Safe to call twice.
   */
  async remove({ force = false, volumes = true }: RemoveOptions = {}): Promise<void> {
    if (!force && ['running', 'paused'].includes(this.status)) {
      throw new RuntsError('ERR_STATE', `cannot remove container ${this.name}: it is ${this.status}`, {
        hint: 'Stop it first, or remove it with force: true.',
      });
    }
    this.#keepsVolumes = !volumes;
    const [first, ...others] = await this.#release();
    if (first !== undefined) throw withReleaseErrors(first, others);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove({ force: true });
  }

  async #release(): Promise<readonly unknown[]> {
    this.#removed = true;
    this.#leaving.abort();
    const errors = await this.#undo.run();
    await this.#ended;
    if (!this.#gone) this.#tell('remove');
    this.#gone = true;
    this.#terminal?.destroy();
    this.#stdin?.destroy();
    this.#stdout?.close();
    this.#stderr?.close();
    this.#book.end();
    return errors;
  }

  /** From the start on: records what is written, and notes the end. Never rejects. */
  async #follow(exit: Promise<ProcessExit>): Promise<Exit> {
    this.#stdout?.record(this.#book, 'stdout');
    this.#stderr?.record(this.#book, 'stderr');
    const end = await exit;
    const ended = exitOf(end, await ranOutOfMemory(this.#home.host, this.#host.cgroup));
    void this.#host.dropCgroup();
    // All that had the other ends died with process 1: what is still in the pipes is all there is. Who listens, and does
    // not read, holds back the log, but not the news of the exit.
    void Promise.all([this.#stdout?.ended, this.#stderr?.ended]).then(() => this.#book.end());
    await Promise.all([this.#stdout?.settled(), this.#stderr?.settled()]);
    this.#exit = ended;
    this.#paused = false;
    if (ended.oomKilled) this.#tell('oom');
    this.#tell('exit', ended);
    this.#hold(false);
    return ended;
  }

  /** Whether the program stays for this container: while its command runs, and until all it wrote has been read. */
  #hold(alive: boolean): void {
    this.#host.session.hold(alive);
    for (const stream of this.#streams) {
      if (alive) stream.ref();
      else stream.unref();
    }
  }

  /** The AbortSignal of its options ends and removes it, whenever it comes. */
  #obey(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    // Whoever gave the signal does not wait: what goes wrong is told to who waits for the container.
    const abort = (): void => void this.#release().catch(() => {});
    signal.addEventListener('abort', abort, { once: true });
    this.#undo.add(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
  }

  #tell(action: ContainerEvent['action'], exit?: Exit): void {
    this.#home.tell({ type: 'container', action, id: this.id, name: this.name, at: new Date(), ...(exit && { exit }) });
  }

  #living(what: string): Living {
    if (this.status === 'stopped') throw this.#wrongState(what);
    const place = { name: this.name, home: this.#home, prepared: this.#prepared, created: this.#host };
    return { ...place, leaving: this.#leaving.signal };
  }

  #joinable() {
    if (this.status !== 'running' || this.#ended === undefined) throw this.#wrongState('run a command in it');
    return {
      id: this.id,
      home: this.#home,
      prepared: this.#prepared,
      created: this.#host,
      ended: this.#ended,
      tell: () => this.#tell('exec'),
    };
  }

  #mustExist(): void {
    if (this.#removed) throw new RuntsError('ERR_STATE', `container ${this.name} has been removed`);
  }

  #wrongState(what: string): RuntsError {
    const state = this.#removed ? 'has been removed' : `is ${this.status}`;
    return new RuntsError('ERR_STATE', `cannot ${what}: container ${this.name} ${state}`);
  }
}

interface Parts {
  readonly id: string;
  readonly home: Home;
  readonly options: ContainerOptions;
  readonly prepared: Prepared;
  readonly created: Created;
  readonly stdio: Stdio | undefined;
  readonly undo: Undo;
}
