import type { Executed } from '../host/exec.ts';
import type { CommandOf } from '../host/exec-again.ts';
import type { Session } from '../host/host.ts';
import type { Prepared } from '../host/prepare.ts';
import type { Birthplace } from '../host/walk.ts';
import type { Stdio } from '../node/stdio.ts';
import { ownNamespaces } from '../plan/exec.ts';
import type { Facts } from '../plan/facts.ts';
import { type ExecOptions, execProcess } from '../spec/exec-options.ts';
import { Recent } from '../spec/recent.ts';
import type { Process, Spec } from '../spec/types.ts';
import type { ResolvedUser } from '../spec/users.ts';
import type { Home } from './home.ts';
import { pipeOwner } from './owner.ts';

/** A container that runs, as a command that is to join it needs it. */
export interface Running {
  readonly id: string;
  readonly home: Home;
  readonly prepared: Pick<Prepared, 'spec'> & { readonly plan: Pick<Prepared['plan'], 'maps'> };
  readonly created: {
    readonly session: Pick<Session, 'pid' | 'process'>;
    readonly cgroup: Birthplace | undefined;
  };
  /** Its process 1 holds files of the host. */
  readonly outlives?: true;
  /** Settled when the end of the container is known. */
  readonly ended: Promise<unknown>;
  /** A command has been started in it. */
  tell(): void;
}

/** A command that has joined it. */
export interface Started {
  readonly executed: Executed;
  readonly stdio: Stdio | undefined;
}

/** How a command joins a container: it may be kept for long. */
export interface Joining {
  readonly request: CommandOf;
  readonly facts: Facts;
  /** Of its pipes. */
  readonly owner: ReturnType<typeof pipeOwner>;
}

export function joining(running: Running, facts: Facts, process: Process): Joining {
  const { id, prepared, created, outlives } = running;
  const { spec, plan } = prepared;
  // Namespaces are entered at once; those of a container that somebody else may have made are looked at instead.
  const namespaces = outlives === true ? undefined : ownNamespaces(spec, facts);
  const first = namespaces && { process: created.session.process, namespaces };
  const request = { id, spec, process, first, cgroup: created.cgroup, ownStdio: true };
  return { request, facts, owner: pipeOwner(plan, process.user, facts.privileged) };
}

/** By their configuration: a command that is asked for again is the same one, and its plan is known. */
const asked = new WeakMap<Spec, Recent<Process>>();
const askedMax = 8;
/** Of a command and its environment. */
const keyLengthMax = 16 * 1024;

/** The process that a command and its options stand for. */
export function processOf(
  { id, prepared: { spec } }: Pick<Running, 'id' | 'prepared'>,
  command: readonly string[],
  options: ExecOptions,
  user: ResolvedUser | undefined,
): Process {
  const { env, cwd, tty, privileged } = options;
  const key = JSON.stringify([id, command, env, cwd, tty, privileged, user]);
  // The caller may change its list.
  const make = () => execProcess(spec, [...command], options, user);
  if (key.length > keyLengthMax) return make();
  const recent = asked.get(spec) ?? new Recent<Process>(askedMax);
  asked.set(spec, recent);
  return recent.get(key, make);
}
