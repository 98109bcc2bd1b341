import type { Exit, Handle, Message, Session } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { systemError } from './failure.ts';

/** The session with an init that had its errand, and has ended by now: what it has said is still to be heard. */
export class EndedSession implements Session {
  readonly errand = true;
  readonly exit: Promise<Exit>;
  readonly over: NonNullable<Session['over']>;
  #pid: number;
  #process: Handle;
  readonly #messages: Message[];

  constructor({ pid, process, messages, exit }: EndedPeer) {
    this.#pid = pid;
    this.#process = process;
    this.#messages = messages;
    this.over = { exit, messages };
    this.exit = Promise.resolve(exit);
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
    return this.#messages.shift();
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
    for (const { handles } of this.#messages.splice(0)) {
      for (const handle of handles) handle.close();
    }
  }
}

interface EndedPeer {
  readonly pid: number;
  readonly process: Handle;
  readonly messages: Message[];
  readonly exit: Exit;
}
