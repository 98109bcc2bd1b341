import type { Executed } from '../host/exec.ts';
import { execAhead, type KnownAhead, makeAhead, type Rest } from '../host/exec-again.ts';
import type { Handle, Waiting } from '../host/host.ts';
import { openStdio, type Stdio, type StdioSpec } from '../node/stdio.ts';
import type { Facts } from '../plan/facts.ts';
import { idleMs } from '../plan/zygote.ts';
import type { Process } from '../spec/types.ts';
import type { Home } from './home.ts';

/** Each has descriptors, and a process. */
const waitingMax = 16;
let waitingCount = 0;
/** After one that could not become its command none is made for two commands; then for four, and so on to this many. */
const skipsMax = 64;

/** How an init is made ahead of a command. */
export interface AheadParts {
  readonly home: Home;
  /** Compiles what it does before there is one, where that goes. */
  readonly compile: () => KnownAhead | undefined;
  /** Whether the container may have it now. */
  readonly mayWait: () => boolean;
  readonly facts: Facts;
  /** The container's first process, by its pidfd. */
  readonly process: Handle;
  readonly cgroup: Handle | undefined;
  /** Of its pipes. */
  readonly owner: StdioSpec['owner'];
}

/**
 * Of a container in which commands are executed less than a second after one another: while nobody waits the init of the next one is
 * made, which enters the container, and waits for as long. Where it cannot become the command it has done nothing, and nobody hears of it.
 */
export class Ahead {
  readonly #parts: AheadParts;
  #known: KnownAhead | undefined;
  #made: { readonly waiting: Waiting; readonly stdio: Stdio } | undefined;
  /** Who asks again at once, before the program has done anything else, would have to wait for it. */
  #soon: NodeJS.Immediate | undefined;
  #timer: NodeJS.Timeout | undefined;
  #endedAt = Number.NEGATIVE_INFINITY;
  /** How many could not become a command that could be executed, one after the other. */
  #misses = 0;
  /** For how many commands none is made. */
  #skips = 0;
  #isOff = false;

  constructor(parts: AheadParts) {
    this.#parts = parts;
  }

  /** Somebody asks for a command: whether one waits. None is made before that has ended. */
  asked(): boolean {
    if (this.#made === undefined) clearImmediate(this.#soon);
    return this.#made !== undefined;
  }

  /** What is left to do for a command, for as long as one waits. Undefined where it cannot be said, or why is better said by the ordinary way. */
  rest(command: Process): Rest | undefined {
    try {
      return this.#known?.rest(command);
    } catch {
      return undefined;
    }
  }

  /** The command, where one waits for it; undefined where none does, or could do nothing. */
  async exec(rest: Rest): Promise<{ readonly executed: Executed; readonly stdio: Stdio } | undefined> {
    const made = this.#take();
    if (made === undefined) return undefined;
    const { home, facts } = this.#parts;
    let executed: Executed | undefined;
    try {
      executed = await execAhead(home.host, this.#known!, { waiting: made.waiting, rest, facts });
    } finally {
      if (executed === undefined) made.stdio.close();
    }
    if (executed === undefined) return undefined;
    this.#misses = 0;
    return { executed, stdio: made.stdio };
  }

  /** A command has been executed: the next one may be made. `missed`: it was what waited that could not become it. */
  end(missed: boolean): void {
    if (missed) this.#skips = Math.min(2 ** ++this.#misses, skipsMax);
    const now = performance.now();
    const isSoon = now - this.#endedAt < idleMs;
    this.#endedAt = now;
    if (!isSoon || this.#isOff || this.#made !== undefined) return;
    if (this.#skips > 0) {
      this.#skips--;
      return;
    }
    clearImmediate(this.#soon);
    this.#soon = setImmediate(() => this.#make()).unref();
  }

  /** Ends what waits. */
  async close(): Promise<void> {
    const made = this.#take();
    made?.stdio.close();
    await made?.waiting.close();
  }

  /** The same, and nothing is made any more. */
  stop(): Promise<void> {
    this.#isOff = true;
    return this.close();
  }

  #make(): void {
    const { home, process, cgroup, owner, compile, mayWait } = this.#parts;
    if (this.#isOff || this.#made !== undefined || waitingCount >= waitingMax || !mayWait()) return;
    let stdio: Stdio | undefined;
    let waiting: Waiting | undefined;
    try {
      this.#known ??= compile();
      if (this.#known === undefined) {
        this.#isOff = true;
        return;
      }
      stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', owner, late: true });
      waiting = makeAhead(home.host, this.#known, { process, stdio: stdio.handles, cgroup });
    } catch {
      // It is told to who asks for the command, where that fails, too.
    }
    for (const handle of stdio?.handles ?? []) handle.close();
    if (stdio === undefined || waiting === undefined) {
      stdio?.close();
      return;
    }
    this.#made = { waiting, stdio };
    waitingCount++;
    this.#timer = setTimeout(() => void this.close(), idleMs).unref();
  }

  #take() {
    clearImmediate(this.#soon);
    clearTimeout(this.#timer);
    const made = this.#made;
    this.#made = undefined;
    if (made !== undefined) waitingCount--;
    return made;
  }
}
