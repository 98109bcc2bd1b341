import { type ExecRequest as Planned, planExec } from '../plan/exec.ts';
import type { Facts } from '../plan/facts.ts';
import { type Plan, tags } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { segmentMessages } from '../program/frames.ts';
import { type NamespaceType, namespaceFiles } from '../spec/names.ts';
import type { Process } from '../spec/types.ts';
import type { Cancel } from './cancel.ts';
import { refused } from './failure.ts';
import type { Exit, Handle, Host, Session } from './host.ts';
import type { Stdio } from './inputs.ts';
import { closeHandles } from './program.ts';
import { nextMilestone, type Progress, unexpected } from './progress.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { type Birthplace, beginWalk, beginWalkOf, type Walk, type WalkRequest, walkTo } from './walk.ts';

/** One more command in a container that runs. */
export interface ExecRequest extends Omit<Planned, 'namespaces' | 'stdio' | 'consoleSize' | 'pid'> {
  /** Of the container's first process, in our PID namespace. */
  readonly pid: number;
  /** A pidfd of it, and its namespaces, where all of them were made for it. */
  readonly first?: { readonly process: Handle; readonly namespaces: ReadonlySet<NamespaceType> } | undefined;
  /** The container's cgroup. */
  readonly cgroup?: Birthplace | undefined;
  /** Asked for when the command needs it, which is not before its init is being made. */
  readonly stdio?: (() => Stdio | undefined) | undefined;
  /** Whoever gets our children when we are gone waits for it: we leave its status alone. */
  readonly detached?: boolean | undefined;
  readonly cancel?: Cancel | undefined;
  readonly deadlineMs?: number | undefined;
  /** Hears of the init as soon as there is one. */
  readonly born?: ((session: Session) => Promise<void>) | undefined;
  /**
   * Throws where `pid` is not the container's process any more: asked once its namespaces are open. They were opened by that
   * number, which is anybody's as soon as the process has been collected, also that of a process of the host.
   */
  readonly opened: () => Promise<void>;
  /** Hears of what the init sends, as it comes. */
  readonly arrived?: Progress['arrived'];
}

/** A command that has been executed. */
export interface Executed {
  readonly pid: number;
  /** Of the command, which is our child. */
  readonly exit: Promise<Exit>;
  /** The same of one that was over before anybody was told of it. */
  readonly over?: Exit | undefined;
  /** The other end of its terminal, where nobody else has it; ours to close. */
  readonly console: Handle | undefined;
  signal(signal: number): boolean;
  /** Whether the program stays for it. */
  hold(alive: boolean): void;
  /** Lets go of it: it lives on without us. */
  release(): void;
}

/** An init that entered the container; what it sent, by tag. `undo` closes that. */
export interface Entering extends Walk {
  readonly handles: Map<number, Handle>;
}

/**
 * Starts a command in a container, with all that its configuration says of confinement. Nobody has anything to do before it
 * is executed. A failure leaves nothing.
 */
export async function exec(
  host: Host,
  facts: Facts,
  request: ExecRequest & { readonly atOnce: true },
): Promise<Executed> {
  const undo = new Undo();
  try {
    const entering = await enter(host, facts, request, undo);
    return await untilExecuted(host, entering, undo);
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Clones an init and sends it into the container. */
export async function enter(host: Host, facts: Facts, request: ExecRequest, undo: Undo): Promise<Entering> {
  const { deadlineMs = frameDeadlineMs, cancel, cgroup, detached, first, born, arrived } = request;
  // Whoever enters by a pidfd does not come to the wrong place.
  const opened = first === undefined ? request.opened : undefined;
  const handles = new Map<number, Handle>();
  undo.add(() => closeHandles(handles));
  const options = { deadlineMs, signal: cancel, facts };
  const walking = (plan: Plan): WalkRequest => {
    const sources = { stdio: request.stdio?.(), process: first?.process };
    return { plan, options, sources, cgroup, detached, handles, born, opened, arrived };
  };
  const begin = async (): Promise<Walk> => {
    if (first === undefined) return beginWalk(host, walking(await planFor(host, facts, request)), undo);
    const prepare = () => {
      const { plan, messages } = planAtHand(facts, request, first.namespaces);
      return { request: walking(plan), messages };
    };
    return beginWalkOf(host, { flags: 0, cgroup, options, detached }, prepare, undo);
  };
  return { ...(await begin()), handles };
}

/** What an init is to do, as it is sent. */
export interface Compiled {
  readonly plan: Plan;
  readonly messages: readonly Uint8Array[];
}

export const planned = (
  request: Omit<Planned, 'namespaces' | 'stdio' | 'pid'>,
  pid: number | undefined,
  namespaces: ReadonlySet<NamespaceType>,
): Planned => {
  const { process } = request;
  const stdio = process.terminal === true ? 'terminal' : 'pipes';
  return { ...request, pid, namespaces, stdio, consoleSize: process.consoleSize };
};

const planFor = async (host: Host, facts: Facts, request: ExecRequest): Promise<Plan> =>
  planExec(planned(request, request.pid, await differing(host, request.pid)), facts);

/** For as long as whoever asks keeps the command, which is asked for again more often than not. */
const known = new WeakMap<Process, Compiled & { readonly of: readonly unknown[] }>();

/** The plan of a command that is entered into the container by a pidfd: nothing of it depends on the process. */
export function planAtHand(
  facts: Facts,
  request: Omit<Planned, 'namespaces' | 'stdio' | 'pid'>,
  namespaces: ReadonlySet<NamespaceType>,
): Compiled {
  const { id, spec, process, ownStdio, plainOutput, preserveFds, newKeyring, atOnce } = request;
  // The namespaces are those of the configuration.
  const of = [facts, id, spec, ownStdio, plainOutput, preserveFds, newKeyring, atOnce];
  const before = known.get(process);
  if (before?.of.every((part, i) => part === of[i])) return before;
  const plan = planExec(planned(request, undefined, namespaces), facts);
  const compiled = { plan, messages: segmentMessages(encode(plan.segment)), of };
  known.set(process, compiled);
  return compiled;
}

/** Until all that can fail has been tried but the execution itself. */
export function untilReady(
  host: Host,
  entering: Entering,
  { deadlineMs = frameDeadlineMs, cancel }: Pick<ExecRequest, 'deadlineMs' | 'cancel'>,
): Promise<void> {
  return walkTo(host, entering, tags.start, new Map(), { deadlineMs, cancel });
}

/** The last word: the command is executed. */
export async function letGo(host: Host, entering: Entering, undo: Undo): Promise<Executed> {
  await entering.channel.go(tags.start);
  return untilExecuted(host, entering, undo);
}

/** From here on the command is nobody's to undo any more. */
export async function untilExecuted(
  host: Host,
  { session, channel, progress, handles }: Entering,
  undo: Undo,
): Promise<Executed> {
  const frame = await nextMilestone(channel, progress);
  if (frame !== undefined) throw unexpected(frame, 'the execution of the command');
  undo.dismiss();
  const console = handles.get(tags.console);
  handles.delete(tags.console);
  closeHandles(handles);
  return {
    pid: session.pid,
    exit: session.exit,
    console,
    signal: (signal) => host.processes.signal(session.process, signal),
    hold: (alive) => session.hold(alive),
    release() {
      session.hold(false);
      session.close();
      session.process.close();
    },
  };
}

/** The namespaces of a process that are not ours, too: there is no need to join those, and often no right. */
export async function differing(host: Host, pid: number): Promise<ReadonlySet<NamespaceType>> {
  const types = Object.keys(namespaceFiles) as NamespaceType[];
  const links = async (process: string) =>
    Promise.all(types.map((type) => host.files.readLink(`/proc/${process}/ns/${namespaceFiles[type]}`)));
  try {
    const [ours, theirs] = await Promise.all([links('self'), links(`${pid}`)]);
    return new Set(types.filter((_, i) => theirs[i] !== undefined && theirs[i] !== ours[i]));
  } catch (error) {
    throw refused(error, { at: 'input', doing: `look at the namespaces of process ${pid}` });
  }
}
