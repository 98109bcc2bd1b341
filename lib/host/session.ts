import { RuntsError } from '../errors.ts';
import { decodeFrame, type Frame, goMessage, segmentMessages } from '../program/frames.ts';
import { limits } from '../program/limits.ts';
import { type Cancel, within } from './cancel.ts';
import { errnoOf, refused } from './failure.ts';
import type { Handle, Host, Message, Session } from './host.ts';

/** How long one wait on an init may take, unless an option says otherwise. */
export const frameDeadlineMs = 30_000;

export interface ChannelOptions {
  readonly deadlineMs?: number | undefined;
  readonly cancel?: Cancel | undefined;
  /** Hears how long each op took, for a program that was encoded with `trace`. */
  readonly trace?: ((op: number, ns: bigint) => void) | undefined;
  /** What the init is known to have reached. */
  readonly last?: string;
}

export interface Received {
  readonly frame: Exclude<Frame, { kind: 'trace' }>;
  /** One for a `handle` or a `forked` frame, none for the others. */
  readonly handle: Handle | undefined;
}

/** One init's session with a deadline on every wait; on expiry the init is killed, by its pidfd. */
export class Channel {
  readonly session: Session;
  readonly #host: Host;
  readonly #options: ChannelOptions;
  readonly #deadlineMs: number;
  #last: string;

  constructor(host: Host, session: Session, options: ChannelOptions = {}) {
    this.session = session;
    this.#host = host;
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? frameDeadlineMs;
    this.#last = options.last ?? 'nothing';
  }

  /** The last thing the init reported: `sync 1`. */
  get last(): string {
    return this.#last;
  }

  /**
   * The next frame; undefined when the channel has ended. Trace frames are passed on and not given. What the init runs
   * meanwhile may have been promised more time than it itself has.
   */
  async receive(moreMs = 0): Promise<Received | undefined> {
    for (;;) {
      const message = await this.#wait(nextMessage(this.session), 'waiting for the init', this.#late, moreMs);
      if (message === undefined) return undefined;
      const { frame, handle } = open(message);
      this.#last = named(frame);
      if (frame.kind !== 'trace') return { frame, handle };
      this.#options.trace?.(frame.op, frame.ns);
    }
  }

  /** What comes when nobody waits any more: whoever ends the session is to end the child that it tells of. */
  readonly #late = (message: Message | undefined): void => {
    if (message !== undefined) follow(this.session, message);
  };

  /** The whole program; the handles, which stay ours, go with the first message. */
  sendProgram(program: Uint8Array, handles: readonly Handle[]): Promise<void> {
    return this.sendMessages(segmentMessages(program), handles);
  }

  /** The same of one that is in messages already. */
  async sendMessages(messages: readonly Uint8Array[], handles: readonly Handle[]): Promise<void> {
    if (handles.length > limits.handlesMax) {
      throw new RuntsError('ERR_SPEC', `${handles.length} handles for the init, with a limit of ${limits.handlesMax}`);
    }
    let first = true;
    for (const message of messages) {
      await this.#wait(this.session.send(message, first ? handles : []), 'sending the program to the init');
      first = false;
    }
  }

  /** The answer to a sync frame; to those of `receive` and `await_start`, with a handle, which stays ours. */
  async go(tag: number, handle?: Handle): Promise<void> {
    const handles = handle === undefined ? [] : [handle];
    await this.#wait(this.session.send(goMessage(tag), handles), 'letting the init go on');
  }

  async #wait<T>(work: Promise<T>, doing: string, late?: (value: T) => unknown, moreMs = 0): Promise<T> {
    const { clock, processes } = this.#host;
    const { cancel } = this.#options;
    try {
      const deadlineMs = this.#deadlineMs + moreMs;
      return await within(work, { clock, deadlineMs, cancel, doing, ...(late && { late }) });
    } catch (error) {
      if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT') throw error;
      processes.signal(this.session.process, 9);
      throw new RuntsError('ERR_TIMEOUT', `${error.message}; it was killed. The last it said: ${this.#last}`, {
        hint: 'A file system that does not answer (NFS, FUSE) is the usual reason. `deadlineMs` allows more time.',
        cause: error,
      });
    }
  }
}

/**
 * The next message of a session. A socket whose peer died with something unread reports ECONNRESET once, before what
 * still is in it: the peer's last words come after that.
 */
export async function nextMessage(session: Session): Promise<Message | undefined> {
  try {
    return await session.receive();
  } catch (error) {
    if (errnoOf(error) !== 'ECONNRESET') throw refused(error, { at: 'spawn', doing: 'hear from the init' });
    return session.receive();
  }
}

/** Sees to it that a frame has the handle that its kind brings, and no other: a leak would outlive the container. */
function open(message: Message): { readonly frame: Frame; readonly handle: Handle | undefined } {
  try {
    const frame = decodeFrame(message.bytes);
    const wanted = frame.kind === 'handle' || frame.kind === 'forked' ? 1 : 0;
    // It may have told who it is, so that it can be collected, before anybody else did.
    if (frame.kind === 'error') closeAll(message);
    else if (message.handles.length !== wanted) {
      throw new RuntsError('ERR_INTERNAL', `the init sent ${message.handles.length} handles with ${named(frame)}`);
    }
    return { frame, handle: frame.kind === 'error' ? undefined : message.handles[0] };
  } catch (error) {
    closeAll(message);
    throw error;
  }
}

/** Closes what came with a message that nobody reads. */
export function closeAll(message: Message | undefined): void {
  for (const handle of message?.handles ?? []) handle.close();
}

/** A frame in a word or two, for messages. */
export function named(frame: Frame): string {
  if (frame.kind === 'sync' || frame.kind === 'handle') return `${frame.kind} ${frame.tag}`;
  return frame.kind === 'trace' ? `the end of op ${frame.op}` : frame.kind;
}

/** How long an init with an errand may take to do it before it is killed where it is. */
const errandMs = 1000;

/**
 * Ends an init that had its errand from the beginning, and may be going on in a child by now. It is not killed before it has
 * told of that: a child that nobody knows of is collected by nobody, and its PID namespace waits for that for ever.
 */
export async function endErrand(host: Host, session: Session, deadlineMs: number): Promise<void> {
  const kill = () => host.processes.signal(session.process, 9);
  const impatience = host.clock.after(errandMs);
  void impatience.done.then(kill, () => {});
  try {
    for (;;) {
      const message = await nextMessage(session);
      if (message === undefined) break;
      if (follow(session, message).kind !== 'handle') kill();
    }
  } finally {
    impatience.cancel();
    await endSession(host, session, deadlineMs);
  }
}

/** Adopts the child that a message tells of; any other handle is closed. */
function follow(session: Session, message: Message): Frame {
  const { frame, handle } = open(message);
  if (frame.kind === 'forked') session.adopt(frame.pid, handle as Handle);
  else handle?.close();
  return frame;
}

/** Ends an init that nobody waits for any more, for as long as the kernel takes. */
export async function abandon({ processes }: Pick<Host, 'processes'>, session: Session): Promise<void> {
  processes.signal(session.process, 9);
  session.close();
  session.collect();
  await session.exit;
  session.process.close();
}

/** Ends the process behind a session, whatever it is doing, and waits until the kernel says so. */
export async function endSession(host: Host, session: Session, deadlineMs: number): Promise<void> {
  const { clock, processes } = host;
  try {
    try {
      processes.signal(session.process, 9);
    } finally {
      // Also where it could not be signalled: an init that finds its channel closed ends by itself.
      session.close();
    }
    session.collect();
    await within(session.exit, { clock, deadlineMs, doing: `waiting for process ${session.pid} to end` });
  } finally {
    session.process.close();
  }
}
