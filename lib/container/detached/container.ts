import type { Readable } from 'node:stream';
import { RuntsError } from '../../errors.ts';
import { openCgroup } from '../../host/cgroups/open.ts';
import type { Handle, Host } from '../../host/host.ts';
import { unlessAborted, untilAborted, type WaitOptions } from '../../node/aborted.ts';
import { lookOn } from '../../node/ended.ts';
import { whileHeld } from '../../node/held.ts';
import type { ExecOptions } from '../../spec/exec-options.ts';
import type { ContainerOptions, Limits, RunOptions } from '../../spec/options.ts';
import { sentSignal } from '../../spec/signals.ts';
import { type Address, addressOf } from '../address.ts';
import { becomeReady, inTime } from '../become-ready.ts';
import type { Container } from '../container.ts';
import { type CopyOptions, copyFrom, copyTo, type Living } from '../copy.ts';
import type { ContainerEvent } from '../events.ts';
import { execute, spawn } from '../exec.ts';
import type { Home } from '../home.ts';
import type { ContainerInfo, Status } from '../info.ts';
import type { LogLine, LogOptions } from '../logs.ts';
import type { RemoveOptions, StartOptions, StopOptions } from '../options.ts';
import type { Process } from '../process.ts';
import { changeLimits, needCgroup, type Stats, statsOf } from '../resources.ts';
import type { Exit, Result } from '../result.ts';
import type { Snapshot } from '../snapshot.ts';
import { endLiving, look } from './living.ts';
import { readLog } from './log.ts';
import { type Beginning, type Held, type Looked, unknownExit } from './looked.ts';
import {
  type DetachedRecord,
  type DetachedState,
  inTurn,
  noSuch,
  type Place,
  readRecord,
  readState,
  writeState,
} from './record.ts';
import { removeDetached } from './remove.ts';
import { runningOf } from './running.ts';
import { startDetached } from './start.ts';

/** A container that outlives its maker: what is on disk, and process 1, say all there is to know of it. */
export class DetachedContainer implements Container {
  readonly id: string;
  readonly name: string;
  readonly stdin = undefined;
  readonly stdout = undefined;
  readonly stderr = undefined;
  readonly #home: Home;
  readonly #place: Place;
  #record: DetachedRecord;
  readonly #ready: ContainerOptions['ready'];
  #status: Status = 'created';
  #pid: number | undefined;

  constructor(home: Home, place: Place, record: DetachedRecord, ready?: ContainerOptions['ready']) {
    this.id = record.id;
    this.name = record.name;
    this.#home = home;
    this.#place = place;
    this.#record = record;
    this.#ready = ready;
  }

  get status(): Status {
    return this.#status;
  }

  get pid(): number | undefined {
    return this.#pid;
  }

  async start(options: StartOptions = {}): Promise<this> {
    await inTime(options, async (cancel) => {
      await this.#begin({ cancel });
      if (this.#ready !== undefined) await this.#becomeReady(cancel);
    });
    return this;
  }

  async #becomeReady(cancel: AbortSignal | undefined): Promise<void> {
    const done = new AbortController();
    const ended = this.wait({ signal: done.signal });
    ended.catch(() => undefined);
    await becomeReady(this, { ready: this.#ready, ended, cancel }).finally(() => done.abort());
  }

  /** By its policy: not where somebody has started, stopped or removed it meanwhile. */
  async startAgain(isDue: (state: DetachedState, exit: Exit) => boolean): Promise<boolean> {
    return this.#begin({ again: true, unless: (state, { exit }) => exit === undefined || !isDue(state, exit) });
  }

  /** False where it was not to be started any more. */
  async #begin({ cancel, again, unless = () => false }: Beginning): Promise<boolean> {
    const home = this.#home;
    const begun = await inTurn(home.host, this.#place, async () => {
      const { record, state, found } = await this.#look();
      if (unless(state, found)) return false;
      if (found.process !== undefined) throw this.#wrongState('start it');
      await startDetached({ home, place: this.#place, record, state, again, cancel });
      return true;
    });
    await this.#look();
    if (begun) this.#tell('start');
    if (begun) home.watch(this);
    return begun;
  }

  /** The end of what runs now, for whoever only looks on: it holds no program. */
  async lookOn(): Promise<{ readonly ended: Promise<void>; close(): void } | undefined> {
    const { process } = await this.#open();
    if (process === undefined) return undefined;
    const watch = lookOn(process);
    return {
      ended: watch.ended,
      close: () => {
        watch.close();
        process.close();
      },
    };
  }

  /** What its policy has to go by. */
  async ending(): Promise<{
    readonly record: DetachedRecord;
    readonly state: DetachedState;
    readonly exit: Exit | undefined;
  }> {
    const { record, state, found } = await this.#look();
    return { record, state, exit: found.exit };
  }

  /** Its end was seen. */
  tellEnd(exit: Exit): void {
    if (exit.oomKilled) this.#tell('oom');
    this.#tell('exit', exit);
  }

  async wait({ signal }: WaitOptions = {}): Promise<Exit> {
    const { found, process } = await this.#open();
    if (process === undefined) {
      if (found.exit === undefined) throw this.#wrongState('wait for it');
      return found.exit;
    }
    try {
      const ended = this.#host.processes.ended(process);
      ended.catch(() => undefined);
      await (signal === undefined ? ended : untilAborted(ended, signal));
    } finally {
      process.close();
    }
    return (await this.#look()).found.exit ?? unknownExit;
  }

  async stop({ signal, grace = 10_000, cancel }: StopOptions = {}): Promise<Exit> {
    const number = signal === undefined ? this.#record.stopSignal : sentSignal(signal);
    return this.#inTurn(cancel, async () => {
      const { state, found, process } = await this.#open();
      try {
        if (found.status === 'created') throw this.#wrongState('stop it');
        if (state.wanted) await writeState(this.#host, this.#place, { ...state, wanted: false });
        if (process !== undefined)
          await endLiving(this.#host, process, { state, found, signal: number, graceMs: grace });
      } finally {
        process?.close();
      }
      return (await this.#look()).found.exit ?? unknownExit;
    });
  }

  async kill(signal = 'SIGKILL'): Promise<void> {
    const number = sentSignal(signal);
    await this.#with('signal it', ['running', 'paused'], ({ process }) =>
      Promise.resolve(this.#host.processes.signal(process, number)),
    );
  }

  async pause({ signal }: WaitOptions = {}): Promise<void> {
    await this.#changing('pause it', signal, ['running'], async ({ cgroup }) => {
      await needCgroup(cgroup, `pause container ${this.name}`).freeze();
      this.#status = 'paused';
      this.#tell('pause');
    });
  }

  async resume({ signal }: WaitOptions = {}): Promise<void> {
    await this.#changing('resume it', signal, ['paused'], async ({ cgroup }) => {
      await needCgroup(cgroup, `resume container ${this.name}`).thaw();
      this.#status = 'running';
      this.#tell('resume');
    });
  }

  async stats({ signal }: WaitOptions = {}): Promise<Stats> {
    const counted = ({ cgroup }: Held) =>
      statsOf(this.#home, needCgroup(cgroup, `tell what container ${this.name} uses`));
    return unlessAborted(signal, () => this.#with('tell what it uses', ['running', 'paused'], counted));
  }

  async update(limits: Limits, { signal }: WaitOptions = {}): Promise<void> {
    await this.#changing('change its limits', signal, ['running', 'paused'], ({ cgroup }) =>
      changeLimits(this.#home, needCgroup(cgroup, `change the limits of container ${this.name}`), limits),
    );
  }

  async copyIn(tar: AsyncIterable<Uint8Array>, target: string, options: CopyOptions = {}): Promise<void> {
    await whileHeld(tar, async (bytes) => {
      const { living, close } = await this.#living('copy to it');
      await copyTo(living, bytes, target, options).finally(close);
    });
  }

  async copyOut(source: string, options: CopyOptions = {}): Promise<Readable> {
    const { living, close } = await this.#living('copy from it');
    try {
      const stream = await copyFrom(living, source, options);
      stream.once('close', close);
      return stream;
    } catch (error) {
      close();
      throw error;
    }
  }

  async snapshot(): Promise<Snapshot> {
    throw new RuntsError('ERR_UNSUPPORTED', `cannot take a snapshot of container ${this.name}: it is detached`, {
      hint: 'A snapshot goes with its runtime. `images.commit` makes an image of the container, which stays as it does.',
    });
  }

  async exec(command: readonly string[], options: ExecOptions & RunOptions = {}): Promise<Result> {
    const { running, close } = await this.#joinable();
    return execute(running, command, options).finally(close);
  }

  async spawn(command: readonly string[], options: ExecOptions = {}): Promise<Process> {
    const { running, close } = await this.#joinable();
    try {
      const process = await spawn(running, command, options);
      void process.result.finally(close);
      return process;
    } catch (error) {
      close();
      throw error;
    }
  }

  logs(options: LogOptions = {}): AsyncIterable<LogLine> {
    const count = this.#record.request.outlive?.segments ?? 1;
    return readLog({ host: this.#host, place: this.#place, count, ended: () => this.#ending() }, options);
  }

  address(port: number): Address {
    return addressOf(this.name, this.#record.request.spec, port);
  }

  resize(): void {
    throw new RuntsError('ERR_STATE', `container ${this.name} has no terminal`, {
      hint: 'One that is detached cannot have one; `spawn` with tty: true has.',
    });
  }

  async inspect(): Promise<ContainerInfo> {
    const { record, state, found } = await this.#look();
    return {
      id: this.id,
      name: this.name,
      status: found.status,
      pid: this.#pid,
      command: record.command,
      labels: record.labels,
      image: record.image,
      created: new Date(record.created),
      exit: found.exit,
      detached: true,
      restarts: state.restarts,
      logs: { droppedLines: found.droppedLines },
    };
  }

  async remove({ force = false, volumes = true, signal }: RemoveOptions = {}): Promise<void> {
    const host = this.#host;
    try {
      await this.#inTurn(signal, async () => {
        const { record, state, found, process } = await this.#open();
        try {
          if (process !== undefined) {
            if (!force) throw this.#stillRuns(found.status);
            if (state.wanted) await writeState(host, this.#place, { ...state, wanted: false });
            await endLiving(host, process, { state, found, signal: 9, graceMs: 0 });
          }
        } finally {
          process?.close();
        }
        await removeDetached(this.#home, this.#place, { record, state }, { volumes });
        this.#status = 'stopped';
        this.#pid = undefined;
        this.#tell('remove');
      });
    } catch (error) {
      if (RuntsError.is(error) && error.code === 'ERR_NOT_FOUND') return;
      throw error;
    }
  }

  /** It stays: it is not ours. */
  async [Symbol.asyncDispose](): Promise<void> {}

  get #host(): Host {
    return this.#home.host;
  }

  async #look(): Promise<Looked> {
    const looked = await this.#open();
    looked.process?.close();
    return looked;
  }

  /** As it is now; who asks closes the process. */
  async #open(): Promise<Looked & { readonly process: Handle | undefined }> {
    const record = await readRecord(this.#host, this.#place);
    if (record === undefined) {
      this.#status = 'stopped';
      this.#pid = undefined;
      throw noSuch(this.id);
    }
    this.#record = record;
    const state = await readState(this.#host, this.#place);
    const found = await look(this.#host, this.#place, state);
    this.#status = found.status;
    this.#pid = found.process === undefined ? undefined : state.process?.pid;
    return { record, state, found, process: found.process };
  }

  /** Work on what lives; what it is in must be one of these states. */
  async #with<T>(doing: string, states: readonly Status[], work: (held: Held) => Promise<T>): Promise<T> {
    const { state, found, process } = await this.#open();
    try {
      if (process === undefined || !states.includes(found.status)) throw this.#wrongState(doing);
      return await work({ process, cgroup: state.cgroup && openCgroup(this.#host, state.cgroup) });
    } finally {
      process?.close();
    }
  }

  #changing<T>(
    doing: string,
    signal: AbortSignal | undefined,
    states: readonly Status[],
    work: (held: Held) => Promise<T>,
  ): Promise<T> {
    return this.#inTurn(signal, () => this.#with(doing, states, work));
  }

  #inTurn<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    return unlessAborted(signal, () => inTurn(this.#host, this.#place, work, signal));
  }

  async #living(doing: string): Promise<{ readonly living: Living; readonly close: () => void }> {
    const { running, close } = await this.#joinable(doing, ['running', 'paused']);
    const { prepared, created } = running;
    const living = { name: this.name, home: this.#home, prepared, created, leaving: new AbortController().signal };
    return { living, close };
  }

  async #joinable(doing = 'run a command in it', states: readonly Status[] = ['running']) {
    const { state, found, record, process } = await this.#open();
    if (process === undefined || !states.includes(found.status)) {
      process?.close();
      throw this.#wrongState(doing);
    }
    const running = runningOf(this.#home, { record, state, process }, () => this.#tell('exec'));
    return { running, close: () => process.close() };
  }

  async #ending() {
    const { process } = await this.#open();
    if (process === undefined) return undefined;
    const done = this.#host.processes.ended(process);
    done.catch(() => undefined);
    return { done, close: () => process.close() };
  }

  #tell(action: ContainerEvent['action'], exit?: Exit): void {
    this.#home.tell({ type: 'container', action, id: this.id, name: this.name, at: new Date(), ...(exit && { exit }) });
  }

  #stillRuns(status: Status): RuntsError {
    return new RuntsError('ERR_STATE', `cannot remove container ${this.name}: it is ${status}`, {
      hint: 'Stop it first, or remove it with force: true.',
    });
  }

  #wrongState(what: string): RuntsError {
    return new RuntsError('ERR_STATE', `cannot ${what}: container ${this.name} is ${this.#status}`);
  }
}
