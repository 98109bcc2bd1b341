import { RuntsError } from '../errors.ts';
import { keeperProgram, keeperTag, removalProgram } from '../plan/keeper.ts';
import type { Maps, Segment } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { decodeFrame, type Frame, forgetMessage, keepMessage, runMessage } from '../program/frames.ts';
import { limits } from '../program/limits.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { Patience } from './bounded.ts';
import { within } from './cancel.ts';
import { errnoOf, opFailure, refused } from './failure.ts';
import type { Handle, Host, Session } from './host.ts';
import { startProgram } from './program.ts';
import { closeAll, endSession, frameDeadlineMs, nextMessage } from './session.ts';
import { withReleaseErrors } from './undo.ts';

/** What goes with us: a name in a directory. */
export interface Removal {
  readonly what: 'tree' | 'cgroup';
  /** It stays the caller's. */
  readonly directory: Handle;
  readonly name: string;
}

/** Something that goes when it is released, and when nobody is left to do that. */
export interface Kept {
  /** Removes it now. Every call waits for the same work. */
  release(): Promise<void>;
  /** From now on it stays. */
  dismiss(): Promise<void>;
}

/** How long a removal may take: of a large tree on a slow disk. */
const removalMs = 600_000;

/** How much longer an answer is waited for that nobody wants any more. */
const answerMs = 1000;

/** What a keeper answers about one of what it keeps; undefined: it is gone. */
type Answer = Extract<Frame, { kind: 'sync' | 'done' | 'error' }> | undefined;

/** A process that survives us and removes what is left, when it sees that nobody is there to tell it to. */
export class Keeper {
  readonly #host: Host;
  readonly #session: Promise<Session>;
  /** Called when it keeps nothing any more. */
  readonly #idle: (keeper: Keeper) => Promise<void>;
  /** The numbers under which it keeps nothing. */
  readonly #free = Array.from({ length: limits.programsKeptMax }, (_, i) => limits.programsKeptMax - 1 - i);
  /** The answers that are due, by number. */
  readonly #asked = new Map<number, { readonly answer: Promise<Answer>; readonly hear: (answer: Answer) => void }>();
  /** It gets nothing more to keep. */
  #isOver = false;

  /** With maps it lives in a user namespace of its own that has them: for what subordinate ids own. */
  constructor(host: Host, maps: Maps | undefined, idle: (keeper: Keeper) => Promise<void>) {
    this.#host = host;
    this.#idle = idle;
    this.#session = this.#start(maps);
    // Whoever asks it for something hears why there is none.
    this.#session.catch(() => this.#end());
  }

  /** Whether it can keep one more. */
  get hasRoom(): boolean {
    return !this.#isOver && this.#free.length > 0;
  }

  get isIdle(): boolean {
    return this.#free.length === limits.programsKeptMax;
  }

  /** From now on it goes when we do. */
  async keep({ what, directory, name }: Removal, patience: Patience): Promise<Kept> {
    const segment = removalProgram(what, name);
    const program = encode(segment);
    const number = this.#free.pop();
    if (number === undefined) throw new RuntsError('ERR_INTERNAL', 'a keeper was asked for more than it has room for');
    try {
      await this.#ask(number, { message: keepMessage(number, program), handles: [directory], segment }, patience);
    } catch (error) {
      const errors = await this.#forget(number).then(
        () => [],
        (cause: unknown) => [cause],
      );
      throw withReleaseErrors(error, errors);
    }
    const remove = async (): Promise<void> => {
      const deadlineMs = what === 'tree' ? removalMs : frameDeadlineMs;
      try {
        await this.#ask(number, { message: runMessage(number), handles: [], segment }, { deadlineMs });
      } finally {
        await this.#forget(number);
      }
    };
    let gone: Promise<void> | undefined;
    return {
      release() {
        gone ??= remove();
        return gone;
      },
      dismiss: () => {
        gone ??= this.#forget(number);
        return gone;
      },
    };
  }

  /** Ends it; what it keeps stays. */
  async close(): Promise<void> {
    this.#isOver = true;
    const session = await this.#session.catch(() => undefined);
    if (session !== undefined) await endSession(this.#host, session, frameDeadlineMs);
  }

  async #start(maps: Maps | undefined): Promise<Session> {
    const segment = keeperProgram({ mapped: maps !== undefined });
    const flags = maps === undefined ? 0 : namespaceFlags.user;
    const program = { segment, flags, maps, tag: keeperTag, doing: 'start a keeper' };
    const session = await startProgram(this.#host, program, { deadlineMs: frameDeadlineMs });
    session.hold(false);
    void this.#listen(session);
    return session;
  }

  async #ask(
    number: number,
    { message, handles, segment }: { message: Uint8Array; handles: readonly Handle[]; segment: Segment },
    { deadlineMs, cancel }: Patience,
  ): Promise<void> {
    const bound = { clock: this.#host.clock, deadlineMs, cancel, doing: 'waiting for a keeper' };
    const session = await within(this.#session, bound);
    let hear!: (answer: Answer) => void;
    const answer = new Promise<Answer>((resolve) => {
      hear = resolve;
    });
    this.#asked.set(number, { answer, hear });
    session.hold(true);
    const sent = session.send(message, handles).catch((error: unknown) => {
      this.#answer(number, undefined);
      throw refused(error, { at: 'spawn', doing: 'reach a keeper' });
    });
    const heard = await within(
      sent.then(() => answer),
      bound,
    );
    if (heard === undefined) throw new RuntsError('ERR_INTERNAL', 'the keeper ended before it had done its work');
    if (heard.kind === 'error') throw opFailure(heard, segment);
  }

  async #forget(number: number): Promise<void> {
    const { clock } = this.#host;
    const doing = 'having a keeper forget something';
    const session = await this.#session.catch(() => undefined);
    try {
      const told = session?.send(forgetMessage(number)).catch(unlessGone);
      if (told !== undefined) await within(told, { clock, deadlineMs: frameDeadlineMs, doing });
      // Whoever has the number next is not to hear an answer that is still due.
      const due = this.#asked.get(number)?.answer;
      if (due !== undefined) await within(due, { clock, deadlineMs: answerMs, doing });
    } catch (error) {
      this.#isOver = true;
      throw error;
    } finally {
      await this.#give(number);
    }
  }

  async #give(number: number): Promise<void> {
    this.#free.push(number);
    if (this.isIdle) await this.#idle(this);
  }

  async #listen(session: Session): Promise<void> {
    try {
      for (let message = await nextMessage(session); message !== undefined; message = await nextMessage(session)) {
        closeAll(message);
        const frame = decodeFrame(message.bytes);
        if (frame.kind === 'sync' || frame.kind === 'done' || frame.kind === 'error') this.#answer(frame.tag, frame);
      }
    } catch {
      // What it says makes no sense: nothing that it keeps can be relied on.
    }
    this.#end();
  }

  #answer(number: number, answer: Answer): void {
    const asked = this.#asked.get(number);
    this.#asked.delete(number);
    if (this.#asked.size === 0) void this.#session.then((session) => session.hold(false));
    asked?.hear(answer);
  }

  #end(): void {
    this.#isOver = true;
    for (const number of [...this.#asked.keys()]) this.#answer(number, undefined);
  }
}

/** One that is gone has nothing to forget. */
function unlessGone(error: unknown): void {
  if (errnoOf(error) !== 'EPIPE') throw refused(error, { at: 'spawn', doing: 'reach a keeper' });
}
