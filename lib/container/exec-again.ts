import type { ExecRequest } from '../host/exec.ts';
import { execAgain, type KnownExec, knownAhead, knownExec } from '../host/exec-again.ts';
import { briefMs } from '../host/walk.ts';
import { openStdio } from '../node/stdio.ts';
import type { Facts } from '../plan/facts.ts';
import { dataText, isSameData } from '../spec/data-text.ts';
import type { ExecOptions } from '../spec/exec-options.ts';
import type { RunOptions } from '../spec/options.ts';
import { Recent } from '../spec/recent.ts';
import { Ahead } from './ahead.ts';
import type { Deadline } from './deadline.ts';
import type { Running, Started } from './joined.ts';
import type { pipeOwner } from './owner.ts';

type Options = ExecOptions & RunOptions;

/** How many different ones are known of a container. */
const knownMax = 8;
/** Of a command and its options, in characters. */
const textLengthMax = 16 * 1024;

/** What was executed in a run of a container: it is asked for again more often than not. */
const known = new WeakMap<Running['created'], Recent<KnownCommand>>();
/** In how many ways a container is one in which nothing may wait. */
const withheld = new WeakMap<Running['created'], number>();

/** How a command was executed. */
export interface Lesson {
  readonly request: ExecRequest;
  readonly facts: Facts;
  /** Of its pipes. */
  readonly owner: ReturnType<typeof pipeOwner>;
}

/** A command with its options, as they were when somebody asked for it first; to be known again by its text. */
export class Teachable {
  readonly command: readonly string[];
  readonly options: Options;
  readonly #text: string;

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

  /** It has been executed like this. */
  learn(running: Running, { request, facts, owner }: Lesson): void {
    const again = knownExec(facts, request);
    if (again === undefined) return;
    const { created } = running;
    const all = known.get(created) ?? new Recent<KnownCommand>(knownMax, ({ ahead }) => void ahead?.stop());
    known.set(created, all);
    const ahead = canWait(running, request) ? aheadOf(running, { request, facts, owner }) : undefined;
    all.get(this.#text, () => new KnownCommand(this, { again, facts, owner, ahead }));
  }
}

interface How {
  readonly again: KnownExec;
  /** What it was made for. */
  readonly facts: Facts;
  readonly owner: Lesson['owner'];
  /** Its init, where it may be made before. */
  readonly ahead: Ahead | undefined;
}

/** A command that is executed again in the same run of a container: it is neither checked nor compiled. */
export class KnownCommand {
  readonly command: readonly string[];
  readonly options: Options;
  readonly #how: How;
  /** It took long the last time: who waits for its end is told at once that it runs. */
  #lasts = false;

  constructor({ command, options }: Teachable, how: How) {
    this.command = command;
    this.options = options;
    this.#how = how;
  }

  static find({ created }: Running, command: unknown, options: unknown): KnownCommand | undefined {
    return known.get(created)?.match((each) => isSameData(command, each.command) && isSameData(options, each.options));
  }

  get ahead(): Ahead | undefined {
    return this.#how.ahead;
  }

  /** Undefined where it cannot be executed like this, and is known no more: why, is told by the ordinary way. */
  async start(running: Running, deadline: Deadline): Promise<Started | undefined> {
    const isSame = (await running.home.facts()) === this.#how.facts;
    const started = isSame ? await this.#start(running, deadline) : undefined;
    if (started === undefined) {
      for (const { ahead } of known.get(running.created)?.values() ?? []) await ahead?.stop();
      known.delete(running.created);
    } else running.tell();
    return started;
  }

  async #start({ home, created }: Running, deadline: Deadline): Promise<Started | undefined> {
    const { again, facts, owner, ahead } = this.#how;
    // Who may have to stop it has to have it.
    const stayMs = this.#lasts || deadline.signal !== undefined ? undefined : briefMs;
    const waited = stayMs === undefined ? undefined : await ahead?.exec();
    if (waited !== undefined) return waited;
    const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', owner, late: true });
    let executed: Started['executed'] | undefined;
    try {
      executed = await execAgain(home.host, again, {
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

  /** It has ended, after so long. */
  ended(ms: number): void {
    this.#lasts = ms > 2 * briefMs;
    const { signal, timeout } = this.options;
    if (!this.#lasts && signal === undefined && timeout === undefined) this.#how.ahead?.end();
  }
}

/**
 * Not where processes are counted, or the container may have cgroups of its own: those that are there are its own. Nor where one may be
 * left behind: in the root of before, or with a command that is looked for from the working directory.
 */
function canWait({ prepared: { spec } }: Running, { process }: ExecRequest): boolean {
  const isCounted = (spec.linux.resources?.pids?.limit ?? 0) > 0;
  const isLimited = process.rlimits?.some(({ type }) => type === 'RLIMIT_NPROC') === true;
  const hasCgroups = spec.mounts?.some(
    ({ type, options = [] }) => /^cgroup2?$/.test(type ?? '') && !options.includes('ro'),
  );
  const canMount = [spec.process, process].some((each) => each?.capabilities?.bounding?.includes('CAP_SYS_ADMIN'));
  const isRelative = /^[^/]+\//.test(process.args[0] ?? '');
  return !isCounted && !isLimited && !hasCgroups && !canMount && !isRelative;
}

function aheadOf({ home, created }: Running, { request, facts, owner }: Lesson): Ahead {
  const { id, spec, process, first, cgroup, ownStdio } = request;
  const kept = { id, spec, process, first, cgroup, ownStdio };
  return new Ahead({
    home,
    facts,
    owner,
    process: created.session.process,
    cgroup: cgroup?.handle,
    compile: () => knownAhead(facts, kept),
    mayWait: () => (withheld.get(created) ?? 0) === 0,
  });
}

/**
 * Ends what waits in a container for a command that may come again. Nothing waits there any more until what this gives is called; for
 * good where nobody does.
 */
export async function withholdAhead(created: Running['created']): Promise<() => void> {
  const change = (by: number) => withheld.set(created, (withheld.get(created) ?? 0) + by);
  change(1);
  for (const { ahead } of known.get(created)?.values() ?? []) await ahead?.close();
  return () => change(-1);
}
