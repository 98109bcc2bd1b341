import type { Readable, Writable } from 'node:stream';
import { type Created, createContainer as createInHost } from '../host/create.ts';
import type { Host } from '../host/host.ts';
import type { Prepared } from '../host/prepare.ts';
import { remove } from '../host/remove.ts';
import { Undo, withReleaseErrors } from '../host/undo.ts';
import { traced } from '../node/debug.ts';
import { openStdio, type Stdio } from '../node/stdio.ts';
import { openTerminal, type TerminalStream } from '../node/terminal.ts';
import { type Plan, tags } from '../plan/plan.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Begun } from './begun.ts';
import type { Home } from './home.ts';
import { targets } from './options.ts';
import { pipeOwner } from './owner.ts';

export interface RunRequest {
  readonly id: string;
  readonly home: Home;
  readonly options: ContainerOptions;
  readonly prepared: Prepared;
  /** Of this time: that of `prepared`, or a newer one. */
  readonly plan: Plan;
  readonly cancel: AbortSignal | undefined;
  /** It is started at once. */
  readonly ahead?: boolean | undefined;
  /** The init that there is already. */
  readonly init?: Begun | undefined;
}

/** The same host, where what is cloned next is there already: whoever asks for it ends it. */
const withInit = (host: Host, init: Begun): Host => ({
  ...host,
  processes: { ...host.processes, spawn: async () => init.take().session },
});

/** What there is of a container for one run of its command: processes, and our ends of their streams. */
export class OwnRun {
  readonly created: Created;
  readonly terminal: TerminalStream | undefined;
  readonly #stdio: Stdio | undefined;

  private constructor(created: Created, stdio: Stdio | undefined) {
    this.created = created;
    this.#stdio = stdio;
    const master = created.handles.get(tags.console);
    this.terminal = master === undefined ? undefined : openTerminal(master);
    // A program that makes a container and does not start it may end.
    this.hold(false);
  }

  /** Ready to start. */
  static async make({ id, home, options, prepared, plan, cancel, ahead, init }: RunRequest): Promise<OwnRun> {
    const undo = new Undo();
    try {
      const host = init === undefined ? home.host : withInit(home.host, init);
      const facts = await home.facts();
      const owner = pipeOwner(plan, prepared.spec.process!.user, facts.privileged);
      const stdio = init?.stdio ?? (prepared.terminal ? undefined : openStdio({ ...targets(options), owner }));
      if (stdio !== undefined) undo.add(() => stdio.close());
      const created = await createInHost(host, plan, {
        stdio: stdio?.handles,
        emptyMounts: home.emptyMounts.handle,
        signal: cancel,
        facts,
        ahead,
        fed: targets(options).stdin === 'pipe',
        ...traced(id, plan.segment),
      });
      for (const handle of stdio?.handles ?? []) handle.close();
      return new OwnRun(created, stdio);
    } catch (error) {
      throw withReleaseErrors(error, await undo.run());
    }
  }

  get stdin(): Writable | undefined {
    return this.terminal ?? this.#stdio?.stdin;
  }

  get stdout(): Readable | undefined {
    return this.terminal ?? this.#stdio?.stdout;
  }

  get stderr(): Readable | undefined {
    return this.#stdio?.stderr;
  }

  /** Whether the program stays for it: while its command runs, and until all it wrote has been read. */
  hold(alive: boolean): void {
    this.created.session.hold(alive);
    const { terminal } = this;
    for (const stream of [terminal, this.#stdio?.stdin, this.#stdio?.stdout, this.#stdio?.stderr]) {
      if (alive) stream?.ref();
      else stream?.unref();
    }
  }

  /** Ends it, in whatever state it is, and releases all that it had of the host; what it wrote can still be read. */
  release(): Promise<void> {
    return remove(this.created);
  }

  /** The same, and nothing of what it wrote is read any more. */
  async end(): Promise<void> {
    try {
      await this.release();
    } finally {
      this.#stdio?.close();
    }
  }
}
