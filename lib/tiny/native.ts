import type { Failure, Native, NativeChannel, NativeExit, NativeHandle } from '../node/native.ts';
import { forget, readable, type Watched, watch, writable } from './loop.ts';
import { call, errno, o, scratch, system } from './system.ts';

export type { Failure, NativeChannel, NativeExit, NativeHandle };

/**
 * In the place of lib/node/native.ts, for what of lib/node stands here too: sessions, and the waits for processes. The
 * channel and the exit behave as those of native/addon, over this host's loop.
 */
class Handle implements NativeHandle {
  #fd: number;
  #closed: (() => void) | undefined;

  constructor(fd = -1) {
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  close(): void {
    const closed = this.#closed;
    this.#closed = undefined;
    const fd = this.release();
    if (fd >= 0) call.close(fd);
    closed?.();
  }

  release(): number {
    const fd = this.#fd;
    this.#fd = -1;
    return fd;
  }

  onClose(closed: (() => void) | undefined): void {
    this.#closed = closed;
  }
}

/** An owned descriptor. */
export const newHandle = (fd: number): NativeHandle => new Handle(fd);

const duplicateAbove = 1030; // F_DUPFD_CLOEXEC

/** A handle of a result that is a descriptor, or a failure. */
const handleOr = (result: number): NativeHandle | Failure => (result < 0 ? failure(result) : newHandle(result));
const failure = (result: number): Failure => ({ errno: -result, step: 0, detail: '' });
const outcome = (result: number): Failure | undefined => (result < 0 ? failure(result) : undefined);

/** One turn of the loop must not belong to one peer that floods us. */
const messagesPerTurn = 16;

class Channel implements NativeChannel {
  readonly #socket: number;
  readonly #watch: Watched;
  readonly #onMessage: (bytes: Uint8Array, handles: NativeHandle[]) => void;
  readonly #onEnd: (errno: number) => void;
  readonly #onWritable: () => void;
  #open = true;

  constructor(
    socket: NativeHandle,
    onMessage: (bytes: Uint8Array, handles: NativeHandle[]) => void,
    onEnd: (errno: number) => void,
    onWritable: () => void,
  ) {
    this.#socket = socket.release();
    this.#onMessage = onMessage;
    this.#onEnd = onEnd;
    this.#onWritable = onWritable;
    this.#watch = watch(this.#socket, readable, (events) => this.#ready(events));
  }

  send(bytes: Uint8Array, handles: readonly NativeHandle[]): number {
    if (!this.#open) return errno.pipe;
    const sent = system.send(
      this.#socket,
      bytes,
      handles.map(({ fd }) => fd),
    );
    // A reset is the same to who sends: nobody will read it.
    if (sent === -errno.connreset) return errno.pipe;
    return sent < 0 ? -sent : 0;
  }

  pause(): void {
    this.#watch.events &= ~readable;
  }

  resume(): void {
    this.#watch.events |= readable;
  }

  awaitWritable(): void {
    this.#watch.events |= writable;
  }

  keepAlive(alive: boolean): void {
    this.#watch.alive = alive;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    forget(this.#watch);
    call.close(this.#socket);
  }

  #ready(events: number): void {
    const reading = (): boolean => this.#open && (this.#watch.events & readable) !== 0;
    for (let n = 0; events & readable && reading() && n < messagesPerTurn; n++) {
      if (!this.#receive()) break;
      system.jobs();
    }
    if (this.#open && this.#watch.events & writable && events & (writable | 8 | 16)) {
      this.#watch.events &= ~writable;
      this.#onWritable();
    }
  }

  /** False when there is nothing more for now. */
  #receive(): boolean {
    const got = system.receive(this.#socket, scratch);
    if (typeof got === 'number') {
      // A reset is told once, before the messages that are still there.
      if (got === -errno.connreset) return true;
      if (got !== -errno.again) this.#end(-got);
      return false;
    }
    const handles = got.descriptors.map(newHandle);
    if (got.cut !== 0 || (got.size === 0 && handles.length === 0)) {
      for (const handle of handles) handle.close();
      this.#end(got.cut);
      return false;
    }
    this.#onMessage(scratch.slice(0, got.size), handles);
    return true;
  }

  #end(why: number): void {
    this.close();
    this.#onEnd(why);
  }
}

const wait = { pidfd: 3, noHang: 1, exited: 4, noWait: 0x0100_0000, all: 0x4000_0000 } as const;
const exitedByItself = 1; // CLD_EXITED
const sigkill = 9;
const exits = new Set<Exit>();

class Exit implements NativeExit {
  readonly #process: number;
  readonly #collects: boolean;
  readonly #looks: boolean;
  readonly #watch: Watched;
  readonly #onExit: (code: number | undefined, signal: number | undefined) => void;
  #endsWithUs = false;

  constructor(
    process: NativeHandle,
    collects: boolean,
    onExit: (code: number | undefined, signal: number | undefined) => void,
    looks = false,
  ) {
    this.#process = process.release();
    this.#collects = collects;
    this.#looks = looks;
    this.#onExit = onExit;
    this.#watch = watch(this.#process, readable, () => this.#ready());
    exits.add(this);
  }

  keepAlive(alive: boolean): void {
    this.#watch.alive = alive;
  }

  close(): void {
    if (!exits.delete(this)) return;
    forget(this.#watch);
    call.close(this.#process);
  }

  endWithUs(on: boolean): void {
    this.#endsWithUs = on;
  }

  end(): void {
    if (this.#endsWithUs) call.pidfd_send_signal(this.#process, sigkill, 0, 0);
  }

  #ready(): void {
    const info = new Uint8Array(128);
    const flags = wait.exited | wait.all | wait.noHang | (this.#looks ? wait.noWait : 0);
    const asked = this.#collects || this.#looks;
    const result = asked ? call.waitid(wait.pidfd, this.#process, info, flags, 0) : -1;
    const fields = new DataView(info.buffer);
    // Without a pid it has not ended yet.
    if (result === 0 && fields.getInt32(16, true) === 0) return;
    this.close();
    const status = result < 0 ? undefined : fields.getInt32(24, true);
    const byItself = fields.getInt32(8, true) === exitedByItself;
    this.#onExit(byItself ? status : undefined, byItself ? undefined : status);
  }
}

/** At our own end: what was to end with us does. */
export function endWithUs(): void {
  for (const exit of exits) exit.end();
}

type Here = Pick<Native, 'Handle' | 'Channel' | 'Exit' | 'spawn' | 'duplicate' | 'lock' | 'signal' | 'openProcess'>;

export const native: Here = {
  Handle,
  Channel,
  Exit,
  spawn(flags, cgroup, done) {
    const birth = system.spawn(flags, cgroup?.fd ?? -1);
    if (birth < 0) return failure(birth);
    const entry = watch(birth, readable, () => {
      forget(entry);
      const made = system.spawned(birth);
      if ('errno' in made) return done(made);
      const [pid, process, channel] = made;
      done({ pid, process: newHandle(process), channel: newHandle(channel) });
    });
    return undefined;
  },
  duplicate: (fd) => handleOr(call.fcntl(fd, duplicateAbove, 3)),
  lock: (file) => outcome(call.flock(file.fd, 2 | 4)),
  signal: (process, signal) => outcome(call.pidfd_send_signal(process.fd, signal, 0, 0)),
  openProcess: (pid) => handleOr(call.pidfd_open(pid, 0)),
};

/** An open file of the host as a handle. */
export function openAt(path: string, flags: number, mode = 0): NativeHandle | number {
  const fd = call.openat(-100, path, flags | o.closeOnExec, mode);
  return fd < 0 ? fd : newHandle(fd);
}
