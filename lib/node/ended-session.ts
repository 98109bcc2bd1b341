import type { Exit, Handle, Message, Session } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { frameBytes } from '../program/frames.ts';
import { systemError } from './failure.ts';

/** The session with an init that had its errand, and has ended by now: what it has said is still to be heard. */
export class EndedSession implements Session {
  readonly errand = true;
  readonly over: NonNullable<Session['over']>;
  #pid: number;
  #process: Handle;
  #messages: Message[] | undefined;

  constructor({ pid, process, exit, said }: EndedPeer) {
    this.#pid = pid;
    this.#process = process;
    const isPlain = said instanceof Uint8Array;
    this.#messages = isPlain ? undefined : said;
    this.over = { exit, frames: isPlain ? said : undefined };
  }

  get exit(): Promise<Exit> {
    return Promise.resolve(this.over.exit);
  }

  get pid(): number {
    return this.#pid;
  }

  get process(): Handle {
    return this.#process;
  }

  async send(): Promise<void> {
    throw systemError(errnoNumber('EPIPE'), 'sendmsg');
  }

  async receive(): Promise<Message | undefined> {
    return this.#heard().shift();
  }

  adopt(pid: number, process: Handle): void {
    this.#process.close();
    this.#pid = pid;
    this.#process = process;
  }

  collect(): void {
    // It is.
  }

  hold(): void {
    // Nothing of it is on the event loop.
  }

  close(): void {
    for (const { handles } of this.#messages ?? []) {
      for (const handle of handles) handle.close();
    }
    this.#messages = [];
  }

  /** Of most nobody wants to hear more than is known of them. */
  #heard(): Message[] {
    this.#messages ??= messagesOf(this.over.frames ?? none);
    return this.#messages;
  }
}

const none = new Uint8Array(0);

function messagesOf(frames: Uint8Array): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at < frames.length; at += frameBytes)
    messages.push({ bytes: frames.subarray(at, at + frameBytes), handles: [] });
  return messages;
}

interface EndedPeer {
  readonly pid: number;
  readonly process: Handle;
  readonly exit: Exit;
  /** Frames, one after the other; or messages, where handles came with any. */
  readonly said: Uint8Array | Message[];
}
