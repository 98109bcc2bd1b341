import { RuntsError } from '../../lib/errors.ts';
import type { Cancel } from '../../lib/host/cancel.ts';
import type {
  CgroupFiles,
  Environment,
  Exit,
  Files,
  Handle,
  Host,
  Kernel,
  Processes,
  RunOptions,
  RunResult,
  Session,
  Sockets,
  SpawnRequest,
  Stream,
  Watch,
} from '../../lib/host/host.ts';
import { Connection, Listener } from './sim-channel.ts';
import { cgroupRoot, errno, Tree } from './sim-files.ts';
import { type Command, type Misdeed, ModelInit } from './sim-init.ts';

/** What goes wrong at one call of a port: counted from 0 over all calls. */
export interface Fault {
  readonly at: number;
  /**
   * `hang`: never settles. `late`: is done, but is heard of only after two minutes. `cancel`: the signal is given.
   * `crash`: the host is killed just before it, and `run` rejects; the port is then that of a process started later.
   */
  readonly kind: 'fail' | 'hang' | 'late' | 'cancel' | 'crash';
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
  readonly runs?: (file: string, args: readonly string[], options: RunOptions | undefined) => RunResult;
  /** Who listens at a path for a stream: hears what is written to it, and may answer. Undefined: nobody. */
  readonly serves?: (path: string, peer: Peer) => ((bytes: Uint8Array) => void) | undefined;
  /** Descriptors that the caller gave. */
  readonly inherited?: readonly number[];
  readonly devices?: Readonly<
    Record<string, { readonly type: 'c' | 'b'; readonly major: number; readonly minor: number }>
  >;
}

/** What a server of the model can do to its client. */
export interface Peer {
  say(bytes: Uint8Array): void;
  hangUp(): void;
}

/** What was sent to a socket of the host: a console, say. */
export interface Delivery {
  readonly path: string;
  readonly message: Uint8Array;
  readonly handles: readonly string[];
}

class SimHandle implements Handle {
  readonly what: string;
  readonly #open: Set<SimHandle>;
  readonly #closed: (() => void)[] = [];

  constructor(what: string, open: Set<SimHandle>) {
    this.what = what;
    this.#open = open;
    open.add(this);
  }

  whenClosed(then: () => void): void {
    this.#closed.push(then);
  }

  close(): void {
    this.#open.delete(this);
    for (const then of this.#closed.splice(0)) then();
  }
}

interface SimProcess {
  readonly pid: number;
  readonly number: number;
  readonly flags: number;
  cgroup: string;
  readonly init: ModelInit;
  alive: boolean;
  /** What the init reads and writes: one after another. */
  connection: Connection;
  listener: Listener | undefined;
  /** Who waits for its end. */
  readonly mourners: Set<() => void>;
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
  /** What was delivered to sockets of the host. */
  readonly deliveries: Delivery[] = [];
  /** The device filter of each cgroup that has one. */
  readonly filters = new Map<string, Uint8Array>();
  /** Given by a `cancel` fault, or by a test. */
  readonly canceler = new AbortController();
  readonly #options: SimOptions;
  readonly #open = new Set<SimHandle>();
  readonly #processes = new Set<SimProcess>();
  readonly #timers = new Set<Timer>();
  readonly #connections = new Set<Connection>();
  readonly #listeners = new Map<string, Listener>();
  readonly #watches = new Set<() => void>();
  readonly #initially: ReadonlySet<string>;
  #events: {
    readonly happen: () => void /** A call of the host, before its crash number this. */;
    readonly of?: number;
  }[] = [];
  #nowMs = 1_700_000_000_000;
  #random: number;
  #pids = 100;
  #spawned = 0;
  /** How often the host was killed. */
  #crashes = 0;
  /** Of these, `run` has told. */
  #mourned = 0;

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
    const files = this.#files();
    this.host = {
      files,
      cgroups: this.#cgroups(files),
      processes: this.#processPort(),
      sockets: this.#sockets(),
      kernel: this.#kernel(),
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
        runtimeDirectory: '/run/user/1000',
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
      if (this.#crashes > this.#mourned) {
        this.#mourned = this.#crashes;
        throw new Error('the host was killed');
      }
      if (settled) return work;
      if (!this.#step()) throw new Error(`stuck after ${this.calls[this.calls.length - 1]}, with ${this.leaks()}`);
    }
  }

  /** Lets everything happen that still can. */
  async settle(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (this.#step());
  }

  /** Kills the host: all that it has open is closed, and nothing that it waits for comes. */
  crash(): void {
    this.#crashes++;
    // What was under way in its name: the kernel has done it, or not.
    this.#events = this.#events.filter(({ of }) => of === undefined || this.#pick(2) === 0);
    for (const timer of this.#timers) if (!timer.inside) this.#timers.delete(timer);
    for (const connection of this.#connections) this.#hangUp(connection);
    for (const handle of this.#open) handle.close();
    this.#watches.clear();
  }

  /** Everything that is open, alive or new; empty when all has been released. */
  leaks(): string[] {
    return [
      ...[...this.#open].map((handle) => `open: ${handle.what}`),
      ...[...this.#processes].filter((p) => p.alive).map((p) => `alive: ${p.number}`),
      ...[...this.#connections].map(({ name }) => `channel: ${name}`),
      ...[...this.tree.entries.keys()].filter((p) => !this.#initially.has(p) && !isShared(p)).map((p) => `file: ${p}`),
      ...[...this.#timers].filter((t) => !t.inside).map(() => 'timer'),
    ];
  }

  /** Moves a process to a cgroup, as systemd does; false where there is none of this number. */
  moveTo(cgroup: string, pid: number): boolean {
    const process = this.#pidOf.get(pid);
    if (!process?.alive) return false;
    process.cgroup = cgroup;
    this.tree.entries.set(`/proc/${pid}/cgroup`, `0::${cgroup.slice(cgroupRoot.length)}\n`);
    return true;
  }

  // ---- time and chance ---------------------------------------------------------------------------------------------

  #pick(below: number): number {
    this.#random = (Math.imul(this.#random ^ (this.#random >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (this.#random >>> 8) % below;
  }

  #step(): boolean {
    const [event] = this.#events.splice(this.#events.length > 0 ? this.#pick(this.#events.length) : 0, 1);
    if (event !== undefined) event.happen();
    else {
      const [timer] = [...this.#timers].sort((a, b) => a.at - b.at);
      if (timer === undefined) return false;
      this.#timers.delete(timer);
      this.#nowMs = Math.max(this.#nowMs, timer.at);
      timer.fire();
    }
    for (const look of this.#watches) look();
    return true;
  }

  readonly #later = (happen: () => void): void => void this.#events.push({ happen });

  /** Lets something happen in a while, as others do what nobody here waits for. */
  inAWhile(happen: () => void): void {
    this.#later(happen);
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
    if (kind === 'crash') this.crash();
    const of = this.#crashes;
    return new Promise((resolve, reject) => {
      if (kind === 'hang' || kind === 'crash') return;
      const happen = () => {
        if (kind === 'fail') {
          reject(errno(fault?.errno ?? 'EIO', name));
          return;
        }
        try {
          const value = this.#told(of, Promise.resolve(work()));
          if (kind === 'late') this.#timer(120_000, true, () => resolve(value));
          else resolve(value);
        } catch (error) {
          if (of === this.#crashes) reject(error);
        }
      };
      this.#events.push({ happen, of });
    });
  }

  /** What comes of work for a host that was there before so many crashes: to one that was killed nothing is told. */
  #told<T>(of: number, work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(
        (value) => (of === this.#crashes ? resolve(value) : closeWhatIs(value)),
        (error) => of === this.#crashes && reject(error),
      );
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
      isStraight: (path) => call('isStraight', path, () => tree.kind(path) === 'directory'),
      readLink: (path) =>
        call('readLink', path, () => {
          const entry = tree.entries.get(path);
          return typeof entry === 'object' ? entry?.link : undefined;
        }),
      write: (path, text) => call('write', path, () => tree.write(path, text)),
      replace: (path, text) => call('replace', path, () => void tree.entries.set(path, text)),
      list: (path) => call('list', path, () => tree.list(path)),
      canWrite: (path) => call('canWrite', path, () => tree.canWrite(path)),
      isPrivate: (path) =>
        call('isPrivate', path, () => {
          if (tree.kind(path) === undefined) throw errno('ENOENT', path);
          return true;
        }),
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
      append: (path, text) =>
        call('append', path, () => void tree.entries.set(path, (tree.entries.has(path) ? tree.read(path) : '') + text)),
      setOwner: (path) =>
        call('setOwner', path, () => {
          if (!tree.entries.has(path)) throw errno('ENOENT', path);
        }),
      watch: (path) => call('watch', path, () => this.#watch(path)),
      device: (path) => call('device', path, () => this.#options.devices?.[path]),
    };
  }

  /** The same files, where they are of the cgroup v2 file system and nothing on the way leads elsewhere. */
  #cgroups(files: Files): CgroupFiles {
    const { read, write, list, kind, makeDirectory, removeDirectory, open, setOwner, watch } = files;
    const held =
      <A extends unknown[], T>(name: string, work: (path: string, ...rest: A) => Promise<T>) =>
      (path: string, ...rest: A): Promise<T> => {
        const fault = this.tree.cgroupFault(path);
        return fault === undefined
          ? work(path, ...rest)
          : this.#call(`${name} ${path}`, () => Promise.reject(errno(fault, path)));
      };
    return {
      read: held('read', read),
      write: held('write', write),
      list: held('list', list),
      kind: held('kind', kind),
      makeDirectory: held('makeDirectory', makeDirectory),
      removeDirectory: held('removeDirectory', removeDirectory),
      open: held('open', open),
      setOwner: held('setOwner', setOwner),
      watch: held('watch', watch),
    };
  }

  #watch(path: string): Watch {
    const content = (): string | undefined => (this.tree.kind(path) === 'file' ? this.tree.read(path) : undefined);
    let seen = content();
    if (seen === undefined) throw errno('ENOENT', path);
    let news = false;
    const waiters: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
    const look = (): void => {
      const now = content();
      if (now === seen) return;
      seen = now;
      news = waiters.length === 0;
      for (const { resolve } of waiters.splice(0)) resolve();
    };
    this.#watches.add(look);
    const handle = new SimHandle(`watch ${path}`, this.#open);
    const over = () => new RuntsError('ERR_STATE', 'not watched any more');
    handle.whenClosed(() => {
      this.#watches.delete(look);
      for (const { reject } of waiters.splice(0)) reject(over());
    });
    return {
      close: () => handle.close(),
      changed: () => {
        if (!this.#watches.has(look)) return Promise.reject(over());
        if (!news)
          return this.#told(this.#crashes, new Promise((resolve, reject) => void waiters.push({ resolve, reject })));
        news = false;
        return Promise.resolve();
      },
    };
  }

  #lock(path: string): Handle {
    const { tree } = this;
    if (tree.locks.has(path)) throw errno('EWOULDBLOCK', path);
    if (tree.kind(path.slice(0, path.lastIndexOf('/'))) !== 'directory') throw errno('ENOENT', path);
    if (!tree.entries.has(path)) tree.entries.set(path, '');
    tree.locks.add(path);
    const handle = new SimHandle(`lock ${path}`, this.#open);
    handle.whenClosed(() => tree.locks.delete(path));
    return handle;
  }

  // ---- processes ---------------------------------------------------------------------------------------------------

  #below(cgroup: string): SimProcess[] {
    return [...this.#processes].filter((p) => p.alive && (p.cgroup === cgroup || p.cgroup.startsWith(`${cgroup}/`)));
  }

  #processPort(): Processes {
    return {
      spawn: (request) => this.#call('spawn', () => this.#spawn(request)),
      // No zygote ever answers in the model: the core is to do without.
      spawnBy: () => this.#call('spawnBy', () => Promise.reject(errno('EPIPE', 'spawnBy'))),
      forkBy: () => this.#call('forkBy', () => Promise.reject(errno('EPIPE', 'forkBy'))),
      forkAhead: () => {
        throw errno('EPIPE', 'forkAhead');
      },
      ahead: () => undefined,
      run: (file, args, options) =>
        this.#call(`run ${file}`, () => {
          const good = { code: 0, timedOut: false, stdout: '', stderr: '' };
          const result = this.#options.runs?.(file, args, options) ?? good;
          const map = file.endsWith('newuidmap') ? 'uid_map' : file.endsWith('newgidmap') ? 'gid_map' : undefined;
          if (result.code === 0 && map !== undefined)
            this.tree.entries.set(`/proc/${args[0]}/${map}`, args.slice(1).join(' '));
          return result;
        }),
      signal: (process, signal) => {
        const target = this.#behind(process);
        if (target === undefined || !target.alive) return false;
        // The kernel lets nothing run any more in a process that has been killed.
        if (signal === 9) target.init.signal(9);
        else this.#later(() => target.init.signal(signal));
        return true;
      },
      find: (pid) =>
        this.#call(`find ${pid}`, () => (this.#pidOf.get(pid)?.alive ? this.#made(`process ${pid}`) : undefined)),
      ended: (process) => this.#call('ended', () => this.#ended(process as SimHandle)),
      connect: (path, pid, process) => this.#call(`connect ${path}`, () => this.#connect(path, pid, process)),
      inherited: (fd) => (this.#options.inherited?.includes(fd) ? this.#made(`descriptor ${fd}`) : undefined),
    };
  }

  readonly #owners = new Map<Handle, SimProcess>();
  readonly #pidOf = new Map<number, SimProcess>();

  #behind(process: Handle): SimProcess | undefined {
    return this.#open.has(process as SimHandle) ? this.#owners.get(process) : undefined;
  }

  #ended(handle: SimHandle): Promise<void> {
    const process = this.#behind(handle);
    if (process === undefined) throw new RuntsError('ERR_STATE', 'the process is closed');
    return new Promise((resolve, reject) => {
      if (!process.alive) {
        resolve();
        return;
      }
      process.mourners.add(resolve);
      handle.whenClosed(() => {
        process.mourners.delete(resolve);
        reject(new RuntsError('ERR_STATE', 'the process was closed while its end was waited for'));
      });
    });
  }

  #spawn({ flags, cgroup }: SpawnRequest): Session {
    const pid = this.#pids++;
    const number = this.#spawned++;
    let exited: (exit: Exit) => void = () => {};
    const exit = new Promise<Exit>((resolve) => {
      exited = resolve;
    });
    const init = new ModelInit({
      say: (bytes, handles = []) => process.connection.say(bytes, () => handles.map((what) => this.#made(what))),
      hangUp: () => process.connection.hangUp(),
      die: (how) => {
        if (!process.alive) return;
        process.alive = false;
        process.connection.hangUp();
        process.listener?.drop(process);
        this.#later(() => {
          for (const [of, owner] of this.#pidOf) {
            if (owner !== process) continue;
            this.tree.removeAll(`/proc/${of}`);
            this.#pidOf.delete(of);
          }
          exited(how);
          for (const mourner of process.mourners) mourner();
          process.mourners.clear();
        });
      },
      mapped: () =>
        (flags & 0x10000000) === 0 || ['uid_map', 'gid_map'].every((f) => this.tree.read(`/proc/${pid}/${f}`)),
      fork: () => {
        const child = this.#pids++;
        this.#enter(child, process);
        return { pid: child, handle: `process ${child}` };
      },
      accept: (then) => {
        process.listener?.accept((connection) => {
          if (!process.alive) return;
          process.connection.hangUp();
          process.connection = connection;
          connection.accept(init);
          then();
        });
        return process.listener !== undefined;
      },
      closeListener: () => process.listener?.drop(process),
      after: (ms, then) => void this.#timer(ms, true, then),
      misdeed: (op, index) => this.#options.misdeed?.(op, index, number),
      command: this.#options.command ?? {},
    });
    const path = cgroup === undefined ? '/' : (cgroup as SimHandle).what;
    const connection = new Connection(String(number), this.#later);
    const process: SimProcess = {
      pid,
      number,
      flags,
      cgroup: path,
      init,
      alive: true,
      connection,
      listener: undefined,
      mourners: new Set(),
    };
    connection.accept(init);
    this.#processes.add(process);
    this.#enter(pid, process);
    return this.#session(process, connection, { pid, process: this.#made(`process ${pid}`) }, exit);
  }

  /** A process gets a number. Its start time is as good as its number. */
  #enter(pid: number, process: SimProcess): void {
    this.#pidOf.set(pid, process);
    const stat = `${pid} (runts-init) S ${'0 '.repeat(18)}${pid}00 0\n`;
    for (const [file, text] of Object.entries({ setgroups: '', uid_map: '', gid_map: '', 'ns/user': '', stat }))
      this.tree.entries.set(`/proc/${pid}/${file}`, text);
  }

  #connect(path: string, pid: number, process: Handle): Session {
    const target = this.#behind(process);
    if (target === undefined) throw new RuntsError('ERR_STATE', 'the process is closed');
    if (!this.tree.entries.has(path)) throw errno('ENOENT', path);
    const listener = this.#listeners.get(path);
    if (!listener?.listens) throw errno('ECONNREFUSED', path);
    const connection = new Connection(`${target.number} by ${path}`, this.#later);
    listener.connect(connection);
    const unknown = { code: undefined, signal: undefined };
    const exit = new Promise<Exit>((resolve) => {
      if (target.alive) target.mourners.add(() => resolve(unknown));
      else resolve(unknown);
    });
    return this.#session(target, connection, { pid, process }, exit);
  }

  #session(
    process: SimProcess,
    connection: Connection,
    first: { readonly pid: number; readonly process: Handle },
    exit: Promise<Exit>,
  ): Session {
    let current = first;
    const known = this.#told(this.#crashes, exit);
    this.#connections.add(connection);
    return {
      get pid() {
        return current.pid;
      },
      get process() {
        return current.process;
      },
      exit: known,
      send: (bytes, handles = []) =>
        this.#call('send', () => {
          const given = handles.map((handle) => (handle as SimHandle).what);
          const listening = given.find((what) => this.#listeners.has(what));
          if (listening !== undefined && process.alive) {
            process.listener = this.#listeners.get(listening);
            process.listener?.hold(process);
          }
          connection.send(bytes, given);
        }),
      receive: () => this.#call('receive', () => connection.receive()),
      adopt: (adoptedPid, handle) => {
        current.process.close();
        current = { pid: adoptedPid, process: handle };
      },
      collect: () => {},
      hold: () => {},
      close: () => this.#hangUp(connection),
    };
  }

  /** The host's end. */
  #hangUp(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    connection.close(() => {
      for (const process of this.#processes) if (process.connection === connection) process.init.hungUp();
    });
  }

  // ---- sockets and the kernel --------------------------------------------------------------------------------------

  #sockets(): Sockets {
    const { tree } = this;
    return {
      listen: (path) =>
        this.#call(`listen ${path}`, () => {
          if (tree.entries.has(path)) throw errno('EADDRINUSE', path);
          if (tree.kind(path.slice(0, path.lastIndexOf('/'))) !== 'directory') throw errno('ENOENT', path);
          tree.entries.set(path, '');
          const listener = new Listener();
          this.#listeners.set(path, listener);
          const handle = new SimHandle(path, this.#open);
          listener.hold(handle);
          handle.whenClosed(() => listener.drop(handle));
          return handle;
        }),
      deliver: (path, message, handles) =>
        this.#call(`deliver ${path}`, () => {
          if (tree.kind(path) !== 'file') throw errno('ENOENT', path);
          this.deliveries.push({ path, message, handles: handles.map((handle) => (handle as SimHandle).what) });
        }),
      pair: () => this.#call('pair', () => ({ ours: this.#stream('pair'), theirs: new SimHandle('pair', this.#open) })),
      connect: (path) => this.#call(`stream ${path}`, () => this.#stream(path)),
    };
  }

  #stream(path: string): Stream {
    const inbox: Uint8Array[] = [];
    const readers: ((bytes: Uint8Array | undefined) => void)[] = [];
    let ended = false;
    const flush = (): void => {
      while (readers.length > 0 && (inbox.length > 0 || ended)) readers.shift()?.(inbox.shift());
    };
    const hears = this.#options.serves?.(path, {
      // In the order in which it is said.
      say: (bytes) => {
        inbox.push(bytes);
        this.#later(flush);
      },
      hangUp: () =>
        this.#later(() => {
          ended = true;
          flush();
        }),
    });
    if (hears === undefined) throw errno('ECONNREFUSED', path);
    const handle = new SimHandle(`stream ${path}`, this.#open);
    handle.whenClosed(() => {
      ended = true;
      flush();
    });
    return {
      close: () => handle.close(),
      write: (bytes) =>
        this.#call(`write to ${path}`, () => {
          if (ended) throw errno('EPIPE', path);
          hears(bytes);
        }),
      read: () =>
        this.#call(
          `read from ${path}`,
          () =>
            new Promise<Uint8Array | undefined>((resolve) => {
              readers.push(resolve);
              flush();
            }),
        ),
    };
  }

  #kernel(): Kernel {
    return {
      blob: (content) => this.#made(`blob of ${content.length}`),
      filterDevices: (cgroup, program) =>
        this.#call('filterDevices', () => void this.filters.set((cgroup as SimHandle).what, program)),
      // Its file systems have no quotas.
      projectQuota: () => this.#call('projectQuota', () => ({ enforced: false, used: 0, limit: 0 })),
      limitProject: () => this.#call('limitProject', () => undefined),
      setProject: () => this.#call('setProject', () => undefined),
    };
  }

  #made(what: string): Handle {
    const handle = new SimHandle(what, this.#open);
    const process = this.#pidOf.get(Number(/^process (\d+)$/.exec(what)?.[1]));
    if (process !== undefined) this.#owners.set(handle, process);
    return handle;
  }
}

/** What a call gives to a host that is no more: the kernel closes it. */
function closeWhatIs(value: unknown): void {
  if (typeof value === 'object' && value !== null && 'close' in value) (value as Handle).close();
}

/** What several containers share and what therefore may stay: the state directory and the lock over it. */
const isShared = (path: string) => path === '/run/runts' || path === '/run/runts/.lock' || isProc(path);
const isProc = (path: string) => path.startsWith('/proc/self/');
