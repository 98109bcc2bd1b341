import type { Readable, Writable } from 'node:stream';
import { RuntsError } from '../errors.ts';
import type { Created } from '../host/create.ts';
import { kill, stop } from '../host/kill.ts';
import type { Prepared } from '../host/prepare.ts';
import { withReleaseErrors } from '../host/undo.ts';
import { unlessAborted, untilAborted, type WaitOptions } from '../node/aborted.ts';
import { whileHeld } from '../node/held.ts';
import type { ExecOptions } from '../spec/exec-options.ts';
import type { ContainerOptions, Limits, RunOptions } from '../spec/options.ts';
import { sentSignal } from '../spec/signals.ts';
import { type Address, addressOf } from './address.ts';
import { becomeReady, inTime } from './become-ready.ts';
import type { Container } from './container.ts';
import { type CopyOptions, copyFrom, copyTo, type Living } from './copy.ts';
import type { ContainerEvent } from './events.ts';
import { execute, spawn } from './exec.ts';
import { withholdAhead } from './exec-again.ts';
import type { Home } from './home.ts';
import { containerImage } from './image.ts';
import type { ContainerInfo, Status } from './info.ts';
import type { LogLine, LogOptions } from './logs.ts';
import { type Made, type MakeOptions, make, mayBeReserved } from './made.ts';
import type { RemoveOptions, StartOptions, StopOptions } from './options.ts';
import { OwnCourse } from './own-course.ts';
import type { Process } from './process.ts';
import { changeLimits, needCgroup, type Stats, statsOf } from './resources.ts';
import type { Exit, Result } from './result.ts';
import type { Snapshot, SnapshotOptions } from './snapshot.ts';

/** A container that belongs to the process that made it, and ends with it: made, then started, once; again by its policy. */
export class OwnContainer implements Container {
  readonly id: string;
  readonly name: string;
  readonly #options: ContainerOptions;
  readonly #home: Home;
  readonly #prepared: Prepared;
  readonly #made: Made;
  readonly #course: OwnCourse;
  readonly #createdAt = new Date();
  #removed = false;
  /** Of one that is paused. */
  #goOn: (() => void) | undefined;
  /** Ends what still reads or writes its files, where anything does: to abort one costs a stack trace. */
  #leaving: AbortController | undefined;
  /** What was made for it is gone, too. */
  #gone = false;

  private constructor(home: Home, options: ContainerOptions, made: Made) {
    const { id, prepared, run } = made;
    this.id = id;
    this.name = options.name ?? id.slice(0, 12);
    this.#options = options;
    this.#home = home;
    this.#prepared = prepared;
    this.#made = made;
    this.#course = new OwnCourse({ home, options, prepared, run, tell: (action, exit) => this.#tell(action, exit) });
    made.end.of = this.#course;
  }

  /** A container that is ready to start: one that was made ahead, or one that is made now. */
  static async create(
    home: Home,
    options: ContainerOptions,
    how: Pick<MakeOptions, 'counted' | 'ahead' | 'init' | 'foreseen'> = {},
  ): Promise<OwnContainer> {
    const made = (how.init === undefined && (await home.pool.take(options))) || (await make(home, options, how));
    let container: OwnContainer | undefined;
    try {
      container = new OwnContainer(home, options, made);
      home.adopt(container);
      const adopted = container;
      made.undo.add(() => home.forget(adopted));
      container.#tell('create');
      container.#obey(options.signal as AbortSignal | undefined);
      return container;
    } catch (error) {
      throw withReleaseErrors(error, await (container === undefined ? made.undo.run() : container.#release()));
    }
  }

  get status(): Status {
    const { exit, running, paused } = this.#course;
    if (this.#removed || exit !== undefined) return 'stopped';
    if (running === undefined) return 'created';
    return paused ? 'paused' : 'running';
  }

  get pid(): number | undefined {
    return this.status === 'stopped' ? undefined : this.#host.session.pid;
  }

  get stdin(): Writable | undefined {
    return this.#course.stdin;
  }

  get stdout(): Readable | undefined {
    return this.#course.stdout;
  }

  get stderr(): Readable | undefined {
    return this.#course.stderr;
  }

  async start(options: StartOptions = {}): Promise<this> {
    this.#mustExist();
    try {
      await inTime(options, async (cancel) => {
        await this.#course.start(cancel);
        this.#makeNext();
        await becomeReady(this, { ready: this.#options.ready, ended: this.#course.ended!, cancel });
      });
      return this;
    } catch (error) {
      throw withReleaseErrors(error, await this.#release());
    }
  }

  /** While this one runs, and nobody waits: what the next one, or the next one of its image, would have to wait for. */
  #makeNext(): void {
    this.#home.pool.fillSoon();
    const standing = mayBeReserved(this.#options) ? this.#prepared.image?.root.standing : undefined;
    if (standing !== undefined) setImmediate(() => this.#home.reserve.fill(standing));
  }

  async wait({ signal }: WaitOptions = {}): Promise<Exit> {
    const course = this.#course;
    if (course.ended === undefined) throw this.#wrongState('wait for it');
    const exit = await (signal === undefined ? course.ended : untilAborted(course.ended, signal));
    if (course.fault !== undefined) throw course.fault;
    return exit;
  }

  stop({ cancel, ...how }: StopOptions = {}): Promise<Exit> {
    return unlessAborted(cancel, () => this.#stop(how));
  }

  async #stop({ signal, grace = 10_000 }: StopOptions): Promise<Exit> {
    const course = this.#course;
    if (course.running === undefined || course.ended === undefined) throw this.#wrongState('stop it');
    const number = signal === undefined ? this.#prepared.stopSignal : sentSignal(signal);
    const left = course.leave();
    if (course.exit === undefined) {
      // What does not run hears of no signal.
      if (course.paused) await this.#resume();
      await stop(course.running, { signal: number, graceMs: grace });
    }
    await left;
    return course.ended;
  }

  async kill(signal = 'SIGKILL'): Promise<void> {
    const number = sentSignal(signal);
    if (this.status === 'stopped') throw this.#wrongState('signal it');
    kill(this.#host, number);
  }

  pause({ signal }: WaitOptions = {}): Promise<void> {
    return unlessAborted(signal, () => this.#pause());
  }

  async #pause(): Promise<void> {
    if (this.status !== 'running') throw this.#wrongState('pause it');
    const cgroup = needCgroup(this.#host.cgroup, `pause container ${this.name}`);
    const goOn = await withholdAhead(this.#host);
    try {
      await cgroup.freeze();
    } catch (error) {
      goOn();
      throw error;
    }
    this.#goOn = goOn;
    this.#course.paused = true;
    this.#tell('pause');
  }

  resume({ signal }: WaitOptions = {}): Promise<void> {
    return unlessAborted(signal, () => this.#resume());
  }

  async #resume(): Promise<void> {
    if (this.status !== 'paused') throw this.#wrongState('resume it');
    await needCgroup(this.#host.cgroup, `resume container ${this.name}`).thaw();
    this.#course.paused = false;
    this.#goOn?.();
    this.#goOn = undefined;
    this.#tell('resume');
  }

  async stats({ signal }: WaitOptions = {}): Promise<Stats> {
    if (this.status === 'stopped') throw this.#wrongState('tell what it uses');
    const cgroup = needCgroup(this.#host.cgroup, `tell what container ${this.name} uses`);
    return unlessAborted(signal, async () => {
      const goOn = await withholdAhead(this.#host);
      return statsOf(this.#home, cgroup).finally(goOn);
    });
  }

  async update(limits: Limits, { signal }: WaitOptions = {}): Promise<void> {
    if (this.status === 'stopped') throw this.#wrongState('change its limits');
    const cgroup = needCgroup(this.#host.cgroup, `change the limits of container ${this.name}`);
    await unlessAborted(signal, async () => {
      await withholdAhead(this.#host);
      await changeLimits(this.#home, cgroup, limits);
    });
  }

  async copyIn(tar: AsyncIterable<Uint8Array>, target: string, options: CopyOptions = {}): Promise<void> {
    await whileHeld(tar, (bytes) => copyTo(this.#living('copy to it'), bytes, target, options));
  }

  async copyOut(source: string, options: CopyOptions = {}): Promise<Readable> {
    return copyFrom(this.#living('copy from it'), source, options);
  }

  async snapshot(options: SnapshotOptions = {}): Promise<Snapshot> {
    this.#mustExist();
    const subject = { container: this, image: this.#prepared.image, options: this.#options };
    return this.#home.snapshots.take(subject, options);
  }

  async exec(command: readonly string[], options: ExecOptions & RunOptions = {}): Promise<Result> {
    return execute(this.#joinable(), command, options);
  }

  async spawn(command: readonly string[], options: ExecOptions = {}): Promise<Process> {
    return spawn(this.#joinable(), command, options);
  }

  logs(options: LogOptions = {}): AsyncIterable<LogLine> {
    return this.#course.book.read(options);
  }

  address(port: number): Address {
    return addressOf(this.name, this.#prepared.spec, port);
  }

  resize(size: { readonly columns: number; readonly rows: number }): void {
    const { terminal } = this.#course;
    if (terminal === undefined) {
      throw new RuntsError('ERR_STATE', `container ${this.name} has no terminal`, { hint: 'Make it with tty: true.' });
    }
    terminal.resize(size);
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
      exit: this.#course.exit,
      detached: false,
      restarts: this.#course.restarts,
      logs: { droppedLines: this.#course.book.droppedLines },
    };
  }

  remove({ signal, ...how }: RemoveOptions = {}): Promise<void> {
    return unlessAborted(signal, () => this.#remove(how));
  }

  async #remove({ force = false, volumes = true }: RemoveOptions): Promise<void> {
    if (!force && ['running', 'paused'].includes(this.status)) {
      throw new RuntsError('ERR_STATE', `cannot remove container ${this.name}: it is ${this.status}`, {
        hint: 'Stop it first, or remove it with force: true.',
      });
    }
    this.#made.end.keepsVolumes = !volumes;
    const [first, ...others] = await this.#release();
    if (first !== undefined) throw withReleaseErrors(first, others);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove({ force: true });
  }

  async #release(): Promise<readonly unknown[]> {
    this.#removed = true;
    this.#leaving?.abort();
    await this.#course.leave();
    // Nothing of it runs any more: its files go while its processes are collected. Whether they have is told below.
    if (this.#course.exit !== undefined && this.#prepared.image?.root.overlay?.server === undefined)
      this.#prepared.release({ keepVolumes: this.#made.end.keepsVolumes }).catch(() => undefined);
    const errors = await this.#made.undo.run();
    await this.#course.ended;
    await this.#course.cleared;
    if (!this.#gone) {
      this.#tell('remove');
      this.#home.pool.fillSoon();
    }
    this.#gone = true;
    this.#course.close();
    return errors;
  }

  /** The AbortSignal of its options ends and removes it, whenever it comes. */
  #obey(signal: AbortSignal | undefined): void {
    if (signal === undefined) return;
    // Whoever gave the signal does not wait: what goes wrong is told to who waits for the container.
    const abort = (): void => void this.#release().catch(() => {});
    signal.addEventListener('abort', abort, { once: true });
    this.#made.undo.add(() => signal.removeEventListener('abort', abort));
    if (signal.aborted) abort();
  }

  #tell(action: ContainerEvent['action'], exit?: Exit): void {
    const { id, name } = this;
    const event = { type: 'container', action, id, name, at: new Date() } as const;
    this.#home.tell(exit === undefined ? event : { ...event, exit });
  }

  #living(what: string): Living {
    if (this.status === 'stopped') throw this.#wrongState(what);
    const place = { name: this.name, home: this.#home, prepared: this.#prepared, created: this.#host };
    this.#leaving ??= new AbortController();
    return { ...place, leaving: this.#leaving.signal };
  }

  #joinable() {
    const { runEnded } = this.#course;
    if (this.status !== 'running' || runEnded === undefined) throw this.#wrongState('run a command in it');
    return {
      id: this.id,
      home: this.#home,
      prepared: this.#prepared,
      created: this.#host,
      ended: runEnded,
      tell: () => this.#tell('exec'),
    };
  }

  get #host(): Created {
    return this.#course.created;
  }

  #mustExist(): void {
    if (this.#removed) throw new RuntsError('ERR_STATE', `container ${this.name} has been removed`);
  }

  #wrongState(what: string): RuntsError {
    const state = this.#removed ? 'has been removed' : `is ${this.status}`;
    return new RuntsError('ERR_STATE', `cannot ${what}: container ${this.name} ${state}`);
  }
}
