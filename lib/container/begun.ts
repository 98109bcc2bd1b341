import type { Exit, Host, Session } from '../host/host.ts';
import { endErrand, frameDeadlineMs } from '../host/session.ts';
import type { Stdio } from '../node/stdio.ts';

/** An init that has its plan, and our ends of its command's streams, before there is a container for them. */
export class Begun {
  readonly id: string;
  readonly session: Session;
  readonly stdio: Stdio;
  /** How its command has ended; undefined where it has not, or something of it is to be looked at in the ordinary way. */
  readonly end: Exit | undefined;
  readonly command: readonly string[];
  #isTaken = false;

  constructor({ id, session, stdio, end, command }: Pick<Begun, 'id' | 'session' | 'stdio' | 'end' | 'command'>) {
    this.id = id;
    this.session = session;
    this.stdio = stdio;
    this.end = end;
    this.command = command;
  }

  /** Whoever takes it ends it. */
  take(): this {
    this.#isTaken = true;
    return this;
  }

  /** Ends it, where nobody has taken it. */
  async leave(host: Host): Promise<void> {
    if (this.#isTaken) return;
    this.#isTaken = true;
    this.stdio.close();
    await endErrand(host, this.session, frameDeadlineMs);
  }
}
