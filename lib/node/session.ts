import { RuntsError } from '../errors.ts';
import type { Exit, Handle, Message, Session } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { frameKinds } from '../program/frames.ts';
import { limits } from '../program/limits.ts';
import { orThrow, systemError } from './failure.ts';
import { openHandle } from './handle.ts';
import { type NativeChannel, type NativeExit, type NativeHandle, native } from './native.ts';

/** Messages that may wait for a reader before we stop receiving: an init that floods us must not fill our memory. */
const queuedMessagesMax = 256;
const messageBytesMax = limits.messageBytesMax + 8;
const again = errnoNumber('EAGAIN');
const forkedKind = frameKinds.indexOf('forked') + 1;

interface Pending {
  readonly bytes: Uint8Array;
  readonly handles: readonly NativeHandle[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Reader {
  readonly resolve: (message: Message | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** The init that a session is with. */
export interface Peer {
  readonly pid: number;
  /** A pidfd; it stays the caller's to close. */
  readonly process: Handle;
  /** Its descriptor moves to the session. */
  readonly channel: NativeHandle;
  /**
   * Whether we made it: then it is ours to collect, and ends with this thread. Of one that others made only the end is
   * known, and nothing that happens to the session happens to it.
   */
  readonly ours: boolean;
  /** Of one that is ours: somebody else, who gets our children when we are gone, is to collect it. */
  readonly detached?: boolean | undefined;
  /** It had its errand from the beginning. */
  readonly errand?: boolean | undefined;
  /** Its user namespace has its id maps. */
  readonly mapped?: boolean | undefined;
  readonly unmapped?: Session['unmapped'];
  /** What it has said already. */
  readonly heard?: readonly { readonly bytes: Uint8Array; readonly handles: readonly NativeHandle[] }[];
}

/** The live channel to an init, and the process behind it. While either is open it is not collected. */
export class NodeSession implements Session {
  readonly exit: Promise<Exit>;
  readonly errand: boolean;
  readonly mapped: boolean;
  readonly unmapped: Session['unmapped'];
  #pid: number;
  #process: Handle;
  readonly #ours: boolean;
  readonly #detached: boolean;
  #settle!: (exit: Exit) => void;
  readonly #channel: NativeChannel;
  #watch: NativeExit;
  #alive = true;

  readonly #received: Message[] = [];
  readonly #readers: Reader[] = [];
  readonly #unsent: Pending[] = [];
  #ended = false;
  #closed = false;
  /** Why the channel ended, where it was no ordinary end; told to one reader. */
  #broken: Error | undefined;
  /** How the present process ended, until it is sure that no other takes its place. */
  #ending: Exit | undefined;
  /** FORKED frames that came, less the processes that were adopted for them. */
  #forks = 0;

  constructor(peer: Peer) {
    const {
      pid,
      process,
      channel,
      ours,
      detached = false,
      errand = false,
      mapped = false,
      unmapped,
      heard = [],
    } = peer;
    this.errand = errand;
    this.mapped = mapped;
    this.unmapped = unmapped;
    this.#pid = pid;
    this.#process = process;
    this.#ours = ours;
    this.#detached = detached;
    this.exit = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#watch = this.#watchExit(openHandle(process, 'process'));
    for (const { bytes, handles } of heard) this.#message(bytes, handles);
    try {
      this.#channel = new native.Channel(
        channel,
        (bytes, handles) => this.#message(bytes, handles),
        (errno) => this.#end(errno),
        () => this.#flush(),
      );
    } catch (error) {
      // Nobody is told of its end, and so it must not keep us from ours.
      this.#watch.keepAlive(false);
      throw error;
    }
  }

  get pid(): number {
    return this.#pid;
  }

  get process(): Handle {
    return this.#process;
  }

  /** For whoever sends by itself. */
  get channel(): NativeChannel {
    return this.#channel;
  }

  async send(message: Uint8Array, handles: readonly Handle[] = []): Promise<void> {
    if (message.length > messageBytesMax || handles.length > limits.handlesMax) {
      const what = `a message of ${message.length} bytes and ${handles.length} handles`;
      const most = `${messageBytesMax} bytes and ${limits.handlesMax} handles`;
      throw new RuntsError('ERR_INTERNAL', `${what} does not fit the channel: at most ${most}`);
    }
    const bytes = message;
    const owned = handles.map((handle) => openHandle(handle));
    if (this.#unsent.length === 0) {
      const errno = this.#channel.send(bytes, owned);
      if (errno === 0) return;
      if (errno !== again) throw systemError(errno, 'sendmsg');
      this.#channel.awaitWritable();
    }
    await new Promise<void>((resolve, reject) => {
      this.#unsent.push({ bytes, handles: owned, resolve, reject });
    });
  }

  receive(): Promise<Message | undefined> {
    const message = this.#received.shift();
    if (message !== undefined) {
      if (this.#received.length === queuedMessagesMax - 1) this.#channel.resume();
      return Promise.resolve(message);
    }
    if (this.#broken !== undefined) {
      const error = this.#broken;
      this.#broken = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#readers.push({ resolve, reject });
    });
  }

  adopt(pid: number, process: Handle): void {
    this.collect();
    const before = this.#watch;
    this.#watch = this.#watchExit(openHandle(process, 'process'));
    this.#watch.keepAlive(this.#alive);
    if (this.#ended && !this.#closed) this.#watch.endWithUs(this.#ours);
    // The one before is still collected when it ends, but nobody waits for it.
    before.keepAlive(false);
    this.#process.close();
    this.#pid = pid;
    this.#process = process;
    this.#ending = undefined;
    this.#forks--;
  }

  collect(): void {
    if (!this.#detached) return;
    const looking = this.#watch;
    this.#watch = this.#watchExit(openHandle(this.#process, 'process'), true);
    looking.close();
  }

  hold(alive: boolean): void {
    this.#alive = alive;
    this.#channel.keepAlive(alive);
    this.#watch.keepAlive(alive);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel.close();
    // Let go of: it may outlive us, and one that others made need not be waited for.
    this.#watch.endWithUs(false);
    if (!this.#ours) this.#watch.keepAlive(false);
    for (const message of this.#received.splice(0)) {
      for (const handle of message.handles) handle.close();
    }
    this.#finish();
  }

  #watchExit(process: NativeHandle, collects = this.#ours && !this.#detached): NativeExit {
    // A descriptor of its own: whoever has the handle may close it at any time.
    const ended = (code: number | undefined, signal: number | undefined): void => {
      if (watch !== this.#watch) return;
      this.#ending = { code, signal };
      this.#settleExit();
    };
    const own = orThrow(native.duplicate(process.fd));
    const watch: NativeExit = new native.Exit(own, collects, ended, this.#ours && !collects);
    return watch;
  }

  /**
   * An init that forks ends before its child does, and a child whose FORKED frame we have not been asked for yet holds
   * the channel: so the end of a process counts once the channel has ended too and no fork waits for `adopt`.
   */
  #settleExit(): void {
    if (this.#ending === undefined) return;
    if (this.#closed || (this.#ended && this.#forks <= 0)) this.#settle(this.#ending);
  }

  #message(bytes: Uint8Array, handles: readonly NativeHandle[]): void {
    if (handles.length > 0 && bytes[0] === forkedKind) this.#forks++;
    const message = { bytes, handles };
    const reader = this.#readers.shift();
    if (reader !== undefined) reader.resolve(message);
    else if (this.#received.push(message) >= queuedMessagesMax) this.#channel.pause();
  }

  #end(errno: number): void {
    if (errno !== 0) this.#broken = systemError(errno, 'recvmsg');
    this.#finish();
  }

  /** The channel is gone, by either end. The exit comes first: a reader of the end may want to know it. */
  #finish(): void {
    this.#ended = true;
    // A command without a reaper has no channel whose end would tell it that this thread is gone.
    if (!this.#closed) this.#watch.endWithUs(this.#ours);
    this.#settleExit();
    for (const { reject } of this.#unsent.splice(0)) reject(systemError(errnoNumber('EPIPE'), 'sendmsg'));
    const [first, ...others] = this.#readers.splice(0);
    if (first !== undefined && this.#broken !== undefined) {
      first.reject(this.#broken);
      this.#broken = undefined;
    } else first?.resolve(undefined);
    for (const { resolve } of others) resolve(undefined);
  }

  #flush(): void {
    for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
      // A handle that was closed meanwhile is no descriptor any more.
      const errno = next.handles.some((handle) => handle.fd < 0)
        ? errnoNumber('EBADF')
        : this.#channel.send(next.bytes, next.handles);
      if (errno === again) {
        this.#channel.awaitWritable();
        return;
      }
      this.#unsent.shift();
      if (errno === 0) next.resolve();
      else next.reject(systemError(errno, 'sendmsg'));
    }
  }
}
