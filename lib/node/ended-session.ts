import type { Exit, Handle, Message, Session } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { decodeFrames, type Frame, frameBytes } from '../program/frames.ts';
import { systemError } from './failure.ts';

/** The session with an init that had its errand, and has ended by now: what it has said is still to be heard. */
export class EndedSession implements Session {
  readonly errand = true;
  readonly over: NonNullable<Session['over']>;
  #pid: number;
  #process: Handle;
  readonly #said: string | Message[];
  #messages: Message[] | undefined;

  constructor({ pid, process, exit, said }: EndedPeer) {
    this.#pid = pid;
    this.#process = process;
    this.#said = said;
    this.over = { exit, frames: typeof said === 'string' ? framesIn(said) : undefined };
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
    for (const { handles } of this.#heard().splice(0)) {
      for (const handle of handles) handle.close();
    }
  }

  /** Of most nobody wants to hear more than is known of them. */
  #heard(): Message[] {
    this.#messages ??= typeof this.#said === 'string' ? messagesOf(Buffer.from(this.#said, 'latin1')) : this.#said;
    return this.#messages;
  }
}

function framesIn(text: string): readonly Frame[] | undefined {
  try {
    return decodeFrames(text);
  } catch {
    return undefined;
  }
}

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
  /** Frames, one after the other, each of their bytes a character (Latin-1); or messages, where handles came with any. */
  readonly said: string | Message[];
}
