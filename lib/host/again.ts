import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { type Plan, tags } from '../plan/plan.ts';
import { encoded } from '../program/encoded.ts';
import { goMessage, segmentMessages } from '../program/frames.ts';
import { bytesHoles } from '../spec/holes.ts';
import { boundedSpawn, type Patience } from './bounded.ts';
import type { Cancel } from './cancel.ts';
import { type Compiled, type ExecRequest, type Executed, planAtHand, untilExecuted } from './exec.ts';
import { refused } from './failure.ts';
import type { Exit, Handle, Host, Look, Places, Session } from './host.ts';
import { type Given, type GivenSources, givenInputs, givenOrder, type Stdio } from './inputs.ts';
import { abandon, Channel, endErrand, frameDeadlineMs } from './session.ts';
import { exitOfStatus } from './start.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { areWritten, briefMs, stopsOnlyToStart } from './walk.ts';
import { mayHaveBegun } from './zygote.ts';

/** All that it takes to make a container once more, as the last one but for its id, and to start it at once. */
export interface Again {
  readonly plan: Plan;
  /** With the word to start. */
  readonly messages: readonly Uint8Array[];
  /** Where the id is in the first. */
  readonly places: Places;
  /** What goes with it. */
  readonly order: readonly Given[];
  /** What the plan was made from. */
  readonly looks: readonly Look[];
}

const go = goMessage(tags.start);

/** Undefined for a plan of which anything is not in its one message, or is to be done by the host. */
export function againOf(plan: Plan, id: string, looks: readonly Look[]): Again | undefined {
  const { cgroup, netDevices, intelRdt, outlives } = plan;
  const isAlone = cgroup === undefined && areWritten(plan) && outlives !== true;
  if (!isAlone || netDevices !== undefined || intelRdt !== undefined || !stopsOnlyToStart(plan)) return undefined;
  const [message, ...others] = segmentMessages(encoded(plan.segment));
  if (message === undefined || others.length > 0) return undefined;
  const order = givenOrder(plan);
  return (
    order && { plan, messages: [message, go], places: Uint32Array.from(bytesHoles(message, id).flat()), order, looks }
  );
}

/**
 * A session with the init of such a container. Undefined where there is none: something is not as it was, or the host refuses, and
 * whoever makes it in the ordinary way hears why.
 */
export async function spawnAgain(
  host: Host,
  { plan, messages, places, order, looks }: Again,
  { id, sources }: { readonly id: string; readonly sources: GivenSources },
  patience: Patience,
): Promise<Session | undefined> {
  const errand = {
    messages,
    handles: givenInputs(order, sources),
    fill: { text: id, places },
  };
  try {
    return await boundedSpawn(host, { flags: plan.flags, maps: plan.maps, stayMs: briefMs, looks, errand }, patience);
  } catch {
    return undefined;
  }
}

/** How a command has ended that is over; undefined where it is not, or anything of it was not as usual. */
export function usualEnd({ over }: Session, { reaps }: Pick<Plan, 'reaps'>): Exit | undefined {
  if (over === undefined) return undefined;
  const { exit, frames = [] } = over;
  // Each by its number: a list that is taken apart by a pattern takes longer than all of this.
  const waited = frames[0];
  if (waited?.kind !== 'sync' || waited.tag !== tags.start || frames.length !== (reaps ? 3 : 1)) return undefined;
  if (!reaps) return wholeExit(exit);
  const last = frames[2];
  return frames[1]?.kind === 'started' && last?.kind === 'exit' ? exitOfStatus(last.status) : undefined;
}

const wholeExit = (exit: Exit): Exit | undefined =>
  exit.code === undefined && exit.signal === undefined ? undefined : exit;

/** A command that has been executed, to be executed once more in the same container. */
export interface KnownExec extends Compiled {
  /** What goes with it. */
  readonly order: readonly Given[];
  /** How often the init goes on in a child before it executes the command. */
  readonly children: number;
}

/** Undefined where there is more to it than one message, or it is to be moved to its cgroup. */
export function knownExec(facts: Facts, request: ExecRequest): KnownExec | undefined {
  const { first, cgroup } = request;
  if (first === undefined || (cgroup !== undefined && cgroup.handle === undefined)) return undefined;
  const { plan, messages } = planAtHand(facts, request, first.namespaces);
  const order = givenOrder(plan);
  if (messages.length !== 1 || order === undefined) return undefined;
  return { plan, messages, order, children: plan.segment.ops.filter(({ op }) => op === 'fork').length };
}

/** Undefined where there is no init: whoever executes it in the ordinary way hears why. */
export async function execAgain(
  host: Host,
  { plan, messages, order, children }: KnownExec,
  { facts, process, stdio, cgroup, cancel, stayMs }: AgainRequest,
): Promise<Executed | undefined> {
  const patience = { deadlineMs: frameDeadlineMs, cancel };
  const errand = { messages, handles: givenInputs(order, { process, stdio }) };
  const work = boundedSpawn(host, { flags: plan.flags, cgroup, errand, stayMs, children }, patience);
  const session = await work.catch((error: unknown) => {
    if (mayHaveBegun(error)) throw refused(error, { at: 'spawn', doing: 'start the command once more', facts });
    return undefined;
  });
  if (session === undefined) return undefined;
  // Over, and nothing was said but who it is.
  const exit = session.over?.frames?.length === 0 ? wholeExit(session.over.exit) : undefined;
  if (exit !== undefined) return over(session, exit);
  if (session.errand !== true) {
    await abandon(host, session);
    return undefined;
  }
  const undo = new Undo();
  undo.add(() => endErrand(host, session, frameDeadlineMs));
  const channel = new Channel(host, session, patience);
  const handles = new Map<number, Handle>();
  const progress = { segment: plan.segment, inputs: plan.inputs, facts, handles };
  try {
    return await untilExecuted(host, { session, channel, progress, handles }, undo);
  } catch (error) {
    const errors = await undo.run();
    if (isUnknown(error) && errors.length === 0) return undefined;
    throw withReleaseErrors(error, errors);
  }
}

/** A copy that ended because its zygote was killed before it could tell of it: it has done nothing. */
const isUnknown = (error: unknown): boolean =>
  RuntsError.is(error) && error.failure?.step === 'clone' && error.failure.detail === 'zygote';

interface AgainRequest {
  readonly facts: Facts;
  /** The container's first, by its pidfd. */
  readonly process: Handle;
  readonly stdio: Stdio;
  /** To be born in. */
  readonly cgroup: Handle | undefined;
  readonly cancel: Cancel | undefined;
  /** How long to stay with it before it is told of. */
  readonly stayMs: number | undefined;
}

/** A command that is over. */
function over(session: Session, exit: Exit): Executed {
  return {
    pid: session.pid,
    exit: Promise.resolve(exit),
    over: exit,
    console: undefined,
    signal: () => false,
    hold() {},
    release: () => session.process.close(),
  };
}
