import type { Handle, Message } from '../../lib/host/host.ts';
import { errno } from './sim-files.ts';
import type { ModelInit } from './sim-init.ts';

/** Lets something happen in a while. */
export type Later = (event: () => void) => void;

/** One channel between the host and an init: what is under way, and which ends are still there. */
export class Connection {
  /** The pid of the process behind it, or where it was connected to; for leaks. */
  readonly name: string;
  readonly #later: Later;
  readonly #inbox: Message[] = [];
  readonly #readers: ((message: Message | undefined) => void)[] = [];
  /** What was sent before anybody accepted. */
  #early: { readonly bytes: Uint8Array; readonly handles: readonly string[] }[] = [];
  #init: ModelInit | undefined;
  #open = true;
  #gone = false;
  #ended = false;

  constructor(name: string, later: Later) {
    this.name = name;
    this.#later = later;
  }

  /** Whether the host has its end still open. */
  get open(): boolean {
    return this.#open;
  }

  // ---- the host's end ----------------------------------------------------------------------------------------------

  send(bytes: Uint8Array, handles: readonly string[]): void {
    if (this.#gone) throw errno('EPIPE', 'send');
    if (this.#init === undefined) this.#early.push({ bytes, handles });
    else this.#init.receive(bytes, handles);
  }

  receive(): Promise<Message | undefined> {
    return new Promise((resolve) => {
      this.#readers.push(resolve);
      this.#flush();
    });
  }

  /** The other end hears of it in a while, unless it has another channel by then. */
  close(hears: () => void): void {
    if (!this.#open) return;
    this.#open = false;
    for (const message of this.#inbox.splice(0)) for (const handle of message.handles) handle.close();
    this.#ended = true;
    this.#flush();
    this.#later(hears);
  }

  // ---- the init's end ----------------------------------------------------------------------------------------------

  accept(init: ModelInit): void {
    this.#init = init;
    for (const { bytes, handles } of this.#early.splice(0)) this.#later(() => init.receive(bytes, handles));
  }

  say(bytes: Uint8Array, handles: () => Handle[]): void {
    if (!this.#open) return;
    this.#inbox.push({ bytes, handles: handles() });
    this.#later(() => this.#flush());
  }

  /** At once for who sends, in a while for who receives. */
  hangUp(): void {
    this.#gone = true;
    this.#later(() => {
      this.#ended = true;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#readers.length > 0 && (this.#inbox.length > 0 || this.#ended)) {
      this.#readers.shift()?.(this.#inbox.shift());
    }
  }
}

/** A socket that listens: there while the host or an init holds it. */
export class Listener {
  readonly #holders = new Set<unknown>();
  #queue: Connection[] = [];
  #accepts: ((connection: Connection) => void) | undefined;

  get listens(): boolean {
    return this.#holders.size > 0;
  }

  hold(holder: unknown): void {
    this.#holders.add(holder);
  }

  drop(holder: unknown): void {
    if (!this.#holders.delete(holder) || this.listens) return;
    for (const connection of this.#queue.splice(0)) connection.hangUp();
  }

  connect(connection: Connection): void {
    this.#queue.push(connection);
    this.#serve();
  }

  /** The next connection, once. */
  accept(then: (connection: Connection) => void): void {
    this.#accepts = then;
    this.#serve();
  }

  #serve(): void {
    this.#queue = this.#queue.filter(({ open }) => open);
    if (this.#accepts === undefined) return;
    const connection = this.#queue.shift();
    if (connection === undefined) return;
    const then = this.#accepts;
    this.#accepts = undefined;
    then(connection);
  }
}
