import { execAgain, type KnownExec, knownAhead, knownExec, type Rest } from '../host/exec-again.ts';
import { briefMs } from '../host/walk.ts';
import { openStdio } from '../node/stdio.ts';
import { dataText, isSameData } from '../spec/data-text.ts';
import { type ExecOptions, execProcess } from '../spec/exec-options.ts';
import type { RunOptions } from '../spec/options.ts';
import { Recent } from '../spec/recent.ts';
import type { Spec } from '../spec/types.ts';
import { Ahead } from './ahead.ts';
import type { Deadline } from './deadline.ts';
import type { Joining, Running, Started } from './joined.ts';

type Options = ExecOptions & RunOptions;

/** How many different ones are known of a container. */
const knownMax = 8;
/** Of a command and its options, in characters. */
const textLengthMax = 16 * 1024;

/** What was executed in a run of a container: it is asked for again more often than not. */
interface Known {
  /** How the first one joined: all of them do that. */
  readonly how: Joining;
  readonly commands: Recent<KnownCommand>;
  /** The init of the next one. Undefined where none may wait. */
  readonly ahead: Ahead | undefined;
}
const known = new WeakMap<Running['created'], Known>();
/** In how many ways a container is one in which nothing may wait. */
const withheld = new WeakMap<Running['created'], number>();

/** A command with its options, as they were when somebody asked for it first; to be known again by its text. */
export class Teachable {
  readonly command: readonly string[];
  readonly options: Options;
  readonly #text: string;
  #made: KnownCommand | undefined;
  #known: KnownCommand | undefined;

  private constructor(text: string) {
    this.#text = text;
    // What the caller has may say something else each time that it is looked at.
    ({ command: this.command, options: this.options } = JSON.parse(text));
  }

  /** Undefined where it may be another command the next time: a user's ids are looked up in the container. */
  static of(command: unknown, options: Options): Teachable | undefined {
    try {
      const { user, tty, input } = options;
      const isPlain =
        (user === undefined || user === '') && (tty === undefined || tty === false) && input === undefined;
      const text = isPlain ? dataText({ command, options }) : undefined;
      return text === undefined || text.length > textLengthMax ? undefined : new Teachable(text);
    } catch {
      return undefined;
    }
  }

  /** What is known of it, once it has been executed. */
  get known(): KnownCommand | undefined {
    return this.#known;
  }

  /** It has been executed like this. */
  learn(running: Running, how: Joining): void {
    const { commands, ahead } = knownOf(running, how);
    const made = this.#made?.ahead === ahead ? this.#made : undefined;
    this.#known = commands.get(this.#text, () => made ?? new KnownCommand(this, how, ahead));
  }

  /** By the init that waits for the next command, whichever that is. Undefined where none does, or it could do nothing. */
  async start(running: Running, deadline: Deadline): Promise<Started | undefined> {
    const all = known.get(running.created);
    if (deadline.signal !== undefined || all?.ahead?.asked() !== true) return undefined;
    const { how: before, ahead } = all;
    if ((await running.home.facts()) !== before.facts) return undefined;
    const process = execProcess(running.prepared.spec, this.command, this.options, undefined);
    const how = { ...before, request: { ...before.request, process } };
    this.#made = new KnownCommand(this, how, ahead);
    const started = await this.#made.startAhead();
    if (started === undefined) return undefined;
    this.learn(running, how);
    running.tell();
    return started;
  }
}

/** A command that is executed again in the same run of a container: it is neither checked nor compiled. */
export class KnownCommand {
  readonly command: readonly string[];
  readonly options: Options;
  readonly #how: Joining;
  /** The init of the container's next command, whether or not it is one for this. */
  readonly ahead: Ahead | undefined;
  readonly #mayWait: boolean;
  /** Null where it is to be executed in the ordinary way, or cannot be said in a message. */
  #again: KnownExec | null | undefined;
  #rest: Rest | null | undefined;
  /** One has waited for it the last time, and could not become it. */
  #missed = false;
  /** It took long the last time: who waits for its end is told at once that it runs. */
  #lasts = false;

  constructor({ command, options }: Teachable, how: Joining, ahead: Ahead | undefined) {
    this.command = command;
    this.options = options;
    this.#how = how;
    this.ahead = ahead;
    this.#mayWait = options.privileged !== true;
  }

  static find({ created }: Running, command: unknown, options: unknown): KnownCommand | undefined {
    const is = (each: KnownCommand) => isSameData(command, each.command) && isSameData(options, each.options);
    return known.get(created)?.commands.match(is);
  }

  /** Undefined where it cannot be executed like this, and is known no more: why, is told by the ordinary way. */
  async start(running: Running, deadline: Deadline): Promise<Started | undefined> {
    const isSame = (await running.home.facts()) === this.#how.facts;
    const started = isSame ? await this.#start(running, deadline) : undefined;
    if (started === undefined) await forget(running);
    else running.tell();
    return started;
  }

  async #start({ home, created }: Running, deadline: Deadline): Promise<Started | undefined> {
    const { request, facts, owner } = this.#how;
    // Who may have to stop it has to have it.
    const stayMs = this.#lasts || deadline.signal !== undefined ? undefined : briefMs;
    const waited = stayMs === undefined ? undefined : await this.startAhead();
    if (waited !== undefined) return waited;
    if (this.#again === undefined) this.#again = knownExec(facts, request) ?? null;
    if (this.#again === null) return undefined;
    const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', owner, late: true });
    let executed: Started['executed'] | undefined;
    try {
      executed = await execAgain(home.host, this.#again, {
        facts,
        process: created.session.process,
        stdio: stdio.handles,
        cgroup: created.cgroup?.handle,
        cancel: deadline.signal,
        stayMs,
      });
    } finally {
      for (const handle of stdio.handles) handle.close();
      if (executed === undefined) stdio.close();
    }
    return executed && { executed, stdio };
  }

  /** Undefined where nobody waits, or who does could do nothing. */
  async startAhead(): Promise<Started | undefined> {
    this.#missed = false;
    if (!this.#mayWait || this.ahead?.asked() !== true) return undefined;
    if (this.#rest === undefined) this.#rest = this.ahead.rest(this.#how.request.process) ?? null;
    if (this.#rest === null) return undefined;
    const started = await this.ahead.exec(this.#rest);
    this.#missed = started === undefined;
    return started;
  }

  /** It has ended, after so long. */
  ended(ms: number): void {
    this.#lasts = ms > 2 * briefMs;
    const { signal, timeout } = this.options;
    if (this.#lasts || signal !== undefined || timeout !== undefined || !this.#mayWait) return;
    this.ahead?.end(this.#missed);
  }
}

function forget({ created }: Running): Promise<void> | undefined {
  const all = known.get(created);
  // First: somebody else may learn something meanwhile.
  known.delete(created);
  return all?.ahead?.stop();
}

function knownOf(running: Running, how: Joining): Known {
  const { created } = running;
  const before = known.get(created);
  if (before?.how.facts === how.facts) return before;
  void before?.ahead?.stop();
  const all = { how, commands: new Recent<KnownCommand>(knownMax), ahead: aheadOf(running, how) };
  known.set(created, all);
  return all;
}

/**
 * Not where processes are counted, or the container may have cgroups of its own: those that are there are its own. Nor where one may be
 * left behind in the root of before.
 */
function canWait({ process, linux, mounts }: Spec): boolean {
  const isCounted = (linux.resources?.pids?.limit ?? 0) > 0;
  const isLimited = process?.rlimits?.some(({ type }) => type === 'RLIMIT_NPROC') === true;
  const hasCgroups = mounts?.some(({ type, options = [] }) => /^cgroup2?$/.test(type ?? '') && !options.includes('ro'));
  const canMount = process?.capabilities?.bounding?.includes('CAP_SYS_ADMIN');
  return !isCounted && !isLimited && !hasCgroups && !canMount;
}

/** Of commands that differ from this one in their arguments, environment and working directory alone. */
function aheadOf({ home, created, prepared }: Running, { request, facts, owner }: Joining): Ahead | undefined {
  if (!canWait(prepared.spec)) return undefined;
  const process = { ...request.process, capabilities: prepared.spec.process?.capabilities };
  return new Ahead({
    home,
    facts,
    owner,
    process: created.session.process,
    cgroup: created.cgroup?.handle,
    compile: () => knownAhead(facts, { ...request, process }),
    mayWait: () => (withheld.get(created) ?? 0) === 0,
  });
}

/**
 * Ends what waits in a container for a command that may come. Nothing waits there any more until what this gives is called; for
 * good where nobody does.
 */
export async function withholdAhead(created: Running['created']): Promise<() => void> {
  const change = (by: number) => withheld.set(created, (withheld.get(created) ?? 0) + by);
  change(1);
  await known.get(created)?.ahead?.close();
  return () => change(-1);
}
