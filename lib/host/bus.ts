import { type Call, decodeMessage, encodeCall, type Message, messageLength } from '../dbus/message.ts';
import type { Value } from '../dbus/types.ts';
import { RuntsError } from '../errors.ts';
import { decodeUtf8, encodeUtf8 } from '../program/utf8.ts';
import { within } from './cancel.ts';
import type { Host, Stream } from './host.ts';
import { messageOf } from './undo.ts';

/** How long a call may take, from its first byte to the last of its answer. */
const answerMs = 25_000;
/** A line of the handshake. */
const lineBytesMax = 1024;
/** How long the first call may go without an answer before another message follows it. */
const nudgeMs = 250;
const ping = {
  destination: 'org.freedesktop.systemd1',
  path: '/org/freedesktop/systemd1',
  interface: 'org.freedesktop.DBus.Peer',
  member: 'Ping',
  signature: '',
  values: [],
} as const;

/** What the other side answered to a call that it refused. */
export class BusError extends Error {
  readonly error: string;

  constructor(error: string, message: string) {
    super(`${error}: ${message}`);
    this.error = error;
  }
}

/** A conversation over D-Bus: one call after another, and none after one that was not answered. Signals are passed over. */
export class Bus {
  readonly #host: Host;
  readonly #stream: Stream;
  #rest: Uint8Array = new Uint8Array(0);
  #serial = 0;
  #isAnswered = false;

  private constructor(host: Host, stream: Stream) {
    this.#host = host;
    this.#stream = stream;
  }

  /** Connects to a socket; `bus` where it is a bus, which wants to be greeted, and not the service itself. */
  static async open(host: Host, path: string, kind: 'bus' | 'private'): Promise<Bus> {
    const bus = new Bus(host, await host.sockets.connect(path));
    try {
      await bus.#within(bus.#authenticate(), 'AUTH');
      if (kind === 'bus') {
        const name = 'org.freedesktop.DBus';
        const hello = { destination: name, path: '/org/freedesktop/DBus', interface: name, member: 'Hello' };
        await bus.call({ ...hello, signature: '', values: [] });
      }
      return bus;
    } catch (error) {
      bus.close();
      throw error;
    }
  }

  /** Calls a method and gives what it returned. */
  async call(call: Call): Promise<readonly Value[]> {
    const serial = ++this.#serial;
    return this.#within(this.#converse(call, serial), call.member);
  }

  async #converse(call: Call, serial: number): Promise<readonly Value[]> {
    await this.#stream.write(encodeCall(call, serial));
    const nudge = this.#isAnswered ? undefined : this.#nudge();
    try {
      for (;;) {
        const message = await this.#receive(call.member);
        if (message.replyTo !== serial) continue;
        this.#isAnswered = true;
        if (message.kind === 'return') return message.values;
        const [text] = message.values;
        throw new BusError(message.error ?? 'an error without a name', typeof text === 'string' ? text : '');
      }
    } finally {
      nudge?.cancel();
    }
  }

  /**
   * systemd's own socket (sd-bus in version 252) keeps a message that it read together with BEGIN, and looks at it when the
   * next bytes come: some do. Their answer is passed over like a signal.
   */
  #nudge(): { cancel(): void } {
    const timer = this.#host.clock.after(nudgeMs);
    const follow = async () => {
      await timer.done;
      await this.#stream.write(encodeCall(ping, ++this.#serial));
    };
    // What is wrong with the connection is told by who reads from it.
    void follow().catch(() => undefined);
    return timer;
  }

  close(): void {
    this.#stream.close();
  }

  /** SASL, with the credentials that the socket shows anyway (D-Bus Specification, "Authentication Protocol"). */
  async #authenticate(): Promise<void> {
    // Without a number, which in a user namespace would not be the one that the other side sees.
    await this.#stream.write(encodeUtf8('\0AUTH EXTERNAL\r\n'));
    let answer = await this.#line();
    if (answer === 'DATA') {
      await this.#stream.write(encodeUtf8('DATA\r\n'));
      answer = await this.#line();
    }
    if (!answer.startsWith('OK')) throw new RuntsError('ERR_SETUP', `the bus does not let us in: ${answer}`);
    await this.#stream.write(encodeUtf8('BEGIN\r\n'));
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(10);
      if (end >= 0) {
        const line = decodeUtf8(this.#rest.subarray(0, end)).trim();
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      if (this.#rest.length > lineBytesMax) throw new RuntsError('ERR_SETUP', 'the bus says what no bus says');
      await this.#more('AUTH');
    }
  }

  async #receive(doing: string): Promise<Message> {
    try {
      for (;;) {
        const length = messageLength(this.#rest);
        if (length !== undefined && this.#rest.length >= length) {
          const message = decodeMessage(this.#rest.slice(0, length));
          this.#rest = this.#rest.slice(length);
          return message;
        }
        await this.#more(doing);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new RuntsError('ERR_SETUP', `the bus sent what is no message: ${messageOf(error)}`, { cause: error });
    }
  }

  async #more(doing: string): Promise<void> {
    const bytes = await this.#stream.read();
    if (bytes === undefined) throw new RuntsError('ERR_SETUP', `the bus closed the connection at ${doing}`);
    const all = new Uint8Array(this.#rest.length + bytes.length);
    all.set(this.#rest);
    all.set(bytes, this.#rest.length);
    this.#rest = all;
  }

  async #within<T>(work: Promise<T>, doing: string): Promise<T> {
    const bound = { clock: this.#host.clock, deadlineMs: answerMs, doing: `${doing} over D-Bus` };
    try {
      return await within(work, bound);
    } catch (error) {
      // Its answer may still come, or half of it has: no other call can be told from it.
      if (!(error instanceof BusError)) this.close();
      throw error;
    }
  }
}
