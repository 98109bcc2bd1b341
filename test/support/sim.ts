import type { Cancel } from '../../lib/host/cancel.ts';
import type {
  Environment,
  Exit,
  Files,
  Handle,
  Host,
  Message,
  Processes,
  RunResult,
  Session,
  SpawnRequest,
} from '../../lib/host/host.ts';
import { errno, Tree } from './sim-files.ts';
import { type Command, type Misdeed, ModelInit } from './sim-init.ts';

/** What goes wrong at one call of a port: counted from 0 over all calls. */
export interface Fault {
  readonly at: number;
  /** `hang`: never settles. `late`: is done, but is heard of only after two minutes. `cancel`: the signal is given. */
  readonly kind: 'fail' | 'hang' | 'late' | 'cancel';
  readonly errno?: string;
}

export interface SimOptions {
  readonly seed?: number;
  readonly environment?: Partial<Environment>;
  readonly files?: Readonly<Record<string, string | { readonly link: string } | null>>;
  readonly fault?: Fault | undefined;
  /** What an init does wrong before an op. `process`: 0 for the first one that was spawned. */
  readonly misdeed?: (op: string, index: number, process: number) => Misdeed | undefined;
  readonly command?: Command;
  /** What a program of the host answers. */
  readonly runs?: (file: string, args: readonly string[]) => RunResult;
}

class SimHandle implements Handle {
  readonly what: string;
  readonly #open: Set<SimHandle>;

  constructor(what: string, open: Set<SimHandle>) {
    this.what = what;
    this.#open = open;
    open.add(this);
  }

  close(): void {
    this.#open.delete(this);
  }
}

interface SimProcess {
  readonly pid: number;
  readonly number: number;
  readonly flags: number;
  readonly cgroup: string;
  readonly init: ModelInit;
  alive: boolean;
  /** The host's end of the channel. */
  channelOpen: boolean;
}

interface Timer {
  readonly at: number;
  readonly fire: () => void;
  /** Of the model, not of the code under test. */
  readonly inside: boolean;
}

/**
 * A host in memory, from a seed: every call of a port takes a random while, time passes only when nothing else can
 * happen, and everything that is open is known. A failing run is repeated by its seed.
 */
export class Sim {
  readonly host: Host;
  readonly tree: Tree;
  /** Every call of a port, in order. */
  readonly calls: string[] = [];
  /** Given by a `cancel` fault, or by a test. */
  readonly canceler = new AbortController();
  readonly #options: SimOptions;
  readonly #open = new Set<SimHandle>();
  readonly #processes = new Set<SimProcess>();
  readonly #timers = new Set<Timer>();
  readonly #initially: ReadonlySet<string>;
  #events: (() => void)[] = [];
  #nowMs = 1_700_000_000_000;
  #random: number;
  #pids = 100;
  #spawned = 0;

  constructor(options: SimOptions = {}) {
    this.#options = options;
    this.#random = (options.seed ?? 1) * 2654435761;
    const inhabitants = {
      in: (cgroup: string) => this.#below(cgroup).length,
      kill: (cgroup: string) => {
        for (const process of this.#below(cgroup)) process.init.signal(9);
      },
    };
    this.tree = new Tree(inhabitants, { '/run': null, '/proc/self/ns/net': '', ...options.files });
    this.#initially = new Set(this.tree.entries.keys());
    this.host = {
      files: this.#files(),
      processes: this.#processPort(),
      sockets: { listen: notYet, deliver: notYet, connect: notYet },
      kernel: { blob: (content) => this.#made(`blob of ${content.length}`), filterDevices: notYet },
      clock: { now: () => this.#nowMs, after: (ms) => this.#after(ms) },
      random: (bytes) => Uint8Array.from({ length: bytes }, () => this.#pick(256)),
      environment: {
        uid: 1000,
        gid: 1000,
        privileged: false,
        userName: 'ann',
        arch: 'x64',
        kernel: '6.8.0',
        cwd: '/',
        stateDirectory: '/run/runts',
        dataDirectory: '/var/lib/runts',
        programs: { newuidmap: '/usr/bin/newuidmap', newgidmap: '/usr/bin/newgidmap' },
        ...options.environment,
      },
    };
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get signal(): Cancel {
    return this.canceler.signal;
  }

  /** A handle of the caller's own, for stdio. It is no leak. */
  handle(what: string): Handle {
    return new SimHandle(what, new Set());
  }

  /** Lets the world go on until the work is settled. */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    work.then(mark, mark);
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (settled) return work;
      if (!this.#step()) throw new Error(`stuck after ${this.calls[this.calls.length - 1]}, with ${this.leaks()}`);
    }
  }

  /** Lets everything happen that still can. */
  async settle(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (this.#step());
  }

  /** Everything that is open, alive or new; empty when all has been released. */
  leaks(): string[] {
    return [
      ...[...this.#open].map((handle) => `open: ${handle.what}`),
      ...[...this.#processes].filter((p) => p.alive).map((p) => `alive: ${p.number}`),
      ...[...this.#processes].filter((p) => p.channelOpen).map((p) => `channel: ${p.number}`),
      ...[...this.tree.entries.keys()].filter((p) => !this.#initially.has(p) && !isShared(p)).map((p) => `file: ${p}`),
      ...[...this.#timers].filter((t) => !t.inside).map(() => 'timer'),
    ];
  }

  // ---- time and chance ---------------------------------------------------------------------------------------------

  #pick(below: number): number {
    this.#random = (Math.imul(this.#random ^ (this.#random >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (this.#random >>> 8) % below;
  }

  #step(): boolean {
    if (this.#events.length > 0) {
      const [event] = this.#events.splice(this.#pick(this.#events.length), 1);
      event?.();
      return true;
    }
    const [timer] = [...this.#timers].sort((a, b) => a.at - b.at);
    if (timer === undefined) return false;
    this.#timers.delete(timer);
    this.#nowMs = Math.max(this.#nowMs, timer.at);
    timer.fire();
    return true;
  }

  #timer(ms: number, inside: boolean, fire: () => void): Timer {
    const timer = { at: this.#nowMs + ms, fire, inside };
    this.#timers.add(timer);
    return timer;
  }

  #after(ms: number): { readonly done: Promise<void>; cancel(): void } {
    let timer: Timer | undefined;
    const done = new Promise<void>((resolve) => {
      timer = this.#timer(ms, false, resolve);
    });
    return { done, cancel: () => void this.#timers.delete(timer as Timer) };
  }

  /** One call of a port: it is counted, goes wrong when it is its turn, and takes a while. */
  #call<T>(name: string, work: () => T | Promise<T>): Promise<T> {
    const index = this.calls.push(name) - 1;
    const { fault } = this.#options;
    const kind = fault?.at === index ? fault.kind : undefined;
    if (kind === 'cancel') this.canceler.abort(new Error('the user has enough'));
    return new Promise((resolve, reject) => {
      if (kind === 'hang') return;
      this.#events.push(() => {
        if (kind === 'fail') {
          reject(errno(fault?.errno ?? 'EIO', name));
          return;
        }
        try {
          const value = work();
          if (kind === 'late') this.#timer(120_000, true, () => resolve(value));
          else resolve(value);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  // ---- files -------------------------------------------------------------------------------------------------------

  #files(): Files {
    const { tree } = this;
    const call = <T>(name: string, path: string, work: () => T) => this.#call(`${name} ${path}`, work);
    return {
      read: (path) => call('read', path, () => tree.read(path)),
      readBelow: (root, path) =>
        call('readBelow', path, () =>
          tree.kind(`${root}/${path}`) === 'file' ? tree.read(`${root}/${path}`) : undefined,
        ),
      readLink: (path) =>
        call('readLink', path, () => {
          const entry = tree.entries.get(path);
          return typeof entry === 'object' ? entry?.link : undefined;
        }),
      write: (path, text) => call('write', path, () => tree.write(path, text)),
      replace: (path, text) => call('replace', path, () => void tree.entries.set(path, text)),
      list: (path) => call('list', path, () => tree.list(path)),
      canWrite: (path) => call('canWrite', path, () => tree.canWrite(path)),
      isPrivate: (path) => call('isPrivate', path, () => true),
      kind: (path) => call('kind', path, () => tree.kind(path)),
      makeDirectory: (path) => call('makeDirectory', path, () => tree.makeDirectory(path)),
      removeDirectory: (path) => call('removeDirectory', path, () => tree.removeDirectory(path)),
      removeFile: (path) => call('removeFile', path, () => tree.removeFile(path)),
      open: (path) =>
        call('open', path, () => {
          if (tree.kind(path) === undefined) throw errno('ENOENT', path);
          return new SimHandle(path, this.#open);
        }),
      lock: (path) => call('lock', path, () => this.#lock(path)),
      append: (path, text) => call('append', path, () => void tree.entries.set(path, text)),
      setOwner: (path) => call('setOwner', path, () => undefined),
      watch: (path) => call('watch', path, () => notYet()),
      device: (path) => call('device', path, () => undefined),
    };
  }

  #lock(path: string): Handle {
    const { tree } = this;
    if (tree.locks.has(path)) throw errno('EWOULDBLOCK', path);
    if (tree.kind(path.slice(0, path.lastIndexOf('/'))) !== 'directory') throw errno('ENOENT', path);
    if (!tree.entries.has(path)) tree.entries.set(path, '');
    tree.locks.add(path);
    const handle = new SimHandle(`lock ${path}`, this.#open);
    return {
      close: () => {
        tree.locks.delete(path);
        handle.close();
      },
    };
  }

  // ---- processes ---------------------------------------------------------------------------------------------------

  #below(cgroup: string): SimProcess[] {
    return [...this.#processes].filter((p) => p.alive && (p.cgroup === cgroup || p.cgroup.startsWith(`${cgroup}/`)));
  }

  #processPort(): Processes {
    return {
      spawn: (request) => this.#call('spawn', () => this.#spawn(request)),
      run: (file, args) =>
        this.#call(`run ${file}`, () => {
          const result = this.#options.runs?.(file, args) ?? { code: 0, timedOut: false, stdout: '', stderr: '' };
          const map = file.endsWith('newuidmap') ? 'uid_map' : 'gid_map';
          if (result.code === 0) this.tree.entries.set(`/proc/${args[0]}/${map}`, args.slice(1).join(' '));
          return result;
        }),
      signal: (process, signal) => {
        const target = this.#owners.get(process);
        if (target === undefined || !target.alive || !this.#open.has(process as SimHandle)) return false;
        // The kernel lets nothing run any more in a process that has been killed.
        if (signal === 9) target.init.signal(9);
        else this.#events.push(() => target.init.signal(signal));
        return true;
      },
      find: notYet,
      ended: notYet,
      connect: notYet,
      inherited: () => undefined,
    };
  }

  readonly #owners = new Map<Handle, SimProcess>();

  #spawn({ flags, cgroup }: SpawnRequest): Session {
    const pid = this.#pids++;
    const inbox: Message[] = [];
    const waiting: ((message: Message | undefined) => void)[] = [];
    let ended = false;
    let exited: (exit: Exit) => void = () => {};
    const exit = new Promise<Exit>((resolve) => {
      exited = resolve;
    });
    const flush = () => {
      while (waiting.length > 0 && (inbox.length > 0 || ended)) waiting.shift()?.(inbox.shift());
    };
    const hangUp = () => {
      ended = true;
      flush();
    };
    const number = this.#spawned++;
    const init = new ModelInit({
      say: (bytes, handles = []) => {
        if (!process.channelOpen) return;
        inbox.push({ bytes, handles: handles.map((what) => this.#made(what)) });
        this.#events.push(flush);
      },
      hangUp: () => this.#events.push(hangUp),
      die: (how) => {
        if (!process.alive) return;
        process.alive = false;
        this.#events.push(hangUp);
        this.#events.push(() => {
          this.tree.removeAll(`/proc/${pid}`);
          exited(how);
        });
      },
      mapped: () =>
        (flags & 0x10000000) === 0 || ['uid_map', 'gid_map'].every((f) => this.tree.read(`/proc/${pid}/${f}`)),
      fork: () => {
        const child = this.#pids++;
        const what = `process ${child}`;
        this.#forked.set(what, process);
        return { pid: child, handle: what };
      },
      after: (ms, then) => void this.#timer(ms, true, then),
      misdeed: (op, index) => this.#options.misdeed?.(op, index, number),
      command: this.#options.command ?? {},
    });
    const path = cgroup === undefined ? '/' : (cgroup as SimHandle).what;
    const process: SimProcess = { pid, number, flags, cgroup: path, init, alive: true, channelOpen: true };
    this.#processes.add(process);
    for (const file of ['setgroups', 'uid_map', 'gid_map', 'ns/user'])
      this.tree.entries.set(`/proc/${pid}/${file}`, '');
    const own = this.#made(`process ${pid}`);
    this.#owners.set(own, process);
    let current = { pid, process: own };

    return {
      get pid() {
        return current.pid;
      },
      get process() {
        return current.process;
      },
      exit,
      send: (bytes, handles = []) =>
        this.#call('send', () => {
          if (!process.alive || ended) throw errno('EPIPE', 'send');
          init.receive(bytes, handles.length);
        }),
      receive: () =>
        this.#call(
          'receive',
          () =>
            new Promise<Message | undefined>((resolve) => {
              waiting.push(resolve);
              flush();
            }),
        ),
      adopt: (adoptedPid, handle) => {
        current.process.close();
        current = { pid: adoptedPid, process: handle };
      },
      hold: () => {},
      close: () => {
        if (!process.channelOpen) return;
        process.channelOpen = false;
        for (const message of inbox.splice(0)) for (const handle of message.handles) handle.close();
        hangUp();
        this.#events.push(() => init.hungUp());
      },
    };
  }

  readonly #forked = new Map<string, SimProcess>();

  #made(what: string): Handle {
    const handle = new SimHandle(what, this.#open);
    const process = this.#forked.get(what);
    if (process !== undefined) this.#owners.set(handle, process);
    return handle;
  }
}

const notYet = (): never => {
  throw new Error('the simulator does not know it yet');
};

/** What several containers share and what therefore may stay: the state directory and the lock over it. */
const isShared = (path: string) => path === '/run/runts' || path === '/run/runts/.lock' || isProc(path);
const isProc = (path: string) => path.startsWith('/proc/self/');
