import { RuntsError } from '../errors.ts';
import { planExec } from '../plan/exec.ts';
import type { Facts } from '../plan/facts.ts';
import { type Plan, tags } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { type Frame, goMessage, segmentMessages } from '../program/frames.ts';
import { boundedSpawn, type Patience } from './bounded.ts';
import { type Cancel, within } from './cancel.ts';
import { type Compiled, type ExecRequest, type Executed, planAtHand, planned, untilExecuted } from './exec.ts';
import { refused } from './failure.ts';
import type { Errand, Exit, Handle, Host, Session, Waiting } from './host.ts';
import { type Given, givenInputs, givenOrder, type Stdio } from './inputs.ts';
import { nextMilestone, unexpected } from './progress.ts';
import { abandon, Channel, endErrand, frameDeadlineMs } from './session.ts';
import { wholeExit } from './start.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { briefMs, type Walk } from './walk.ts';
import { mayHaveBegun } from './zygote.ts';

/** A command that has been executed, to be executed once more in the same container. */
export interface KnownExec extends Compiled {
  /** What goes with it. */
  readonly order: readonly Given[];
  /** How often the init goes on in a child before it executes the command. */
  readonly children: number;
  /** It waits for its start, out of sight of the container. */
  readonly waits: boolean;
}

/** Undefined where there is more to it than one message, or it is to be moved to its cgroup. */
export function knownExec(facts: Facts, request: ExecRequest): KnownExec | undefined {
  const { first } = request;
  return first && knownOf(request, planAtHand(facts, request, first.namespaces));
}

/** What is to be known for that: it may be kept for long. */
export type AheadOf = Pick<ExecRequest, 'id' | 'spec' | 'process' | 'first' | 'cgroup' | 'ownStdio'>;

/** The same, of an init that is made before somebody asks for the command. Undefined where it would be seen in the container. */
export function knownAhead(facts: Facts, request: AheadOf): KnownExec | undefined {
  const { first } = request;
  if (first === undefined) return undefined;
  const plan = planExec({ ...planned(request, undefined, first.namespaces), atOnce: false, ahead: true }, facts);
  const known = knownOf(request, { plan, messages: segmentMessages(encode(plan.segment)) });
  return known?.waits === true ? known : undefined;
}

function knownOf({ cgroup }: Pick<ExecRequest, 'cgroup'>, { plan, messages }: Compiled): KnownExec | undefined {
  const order = givenOrder(plan);
  const isMoved = cgroup !== undefined && cgroup.handle === undefined;
  if (isMoved || messages.length !== 1 || order === undefined) return undefined;
  const children = plan.segment.ops.filter(({ op }) => op === 'fork').length;
  return { plan, messages, order, children, waits: waitsOutside(plan) };
}

function waitsOutside({ segment: { ops } }: Plan): boolean {
  const at = ops.findIndex(({ op }) => op === 'sync');
  return at !== -1 && ops.slice(at).some(({ op }) => op === 'fork');
}

/** Undefined where there is no init: whoever executes it in the ordinary way hears why. */
export async function execAgain(host: Host, known: KnownExec, request: AgainRequest): Promise<Executed | undefined> {
  const patience = { deadlineMs: frameDeadlineMs, cancel: request.cancel };
  const { plan, children } = known;
  const { cgroup, stayMs, facts } = request;
  const errand = errandOf(known, request);
  const work = boundedSpawn(host, { flags: plan.flags, cgroup, errand, stayMs, children }, patience);
  return become(host, known, work, { facts, patience });
}

/** An init that waits until this command is asked for. Undefined where nobody can make one. */
export function makeAhead(host: Host, known: KnownExec, request: AheadRequest): Waiting | undefined {
  const errand = errandOf(known, request);
  return host.processes.ahead({ cgroup: request.cgroup, errand, stayMs: briefMs, children: known.children });
}

/** Undefined where it has done nothing: the command can be executed in another way. */
export function execAhead(host: Host, known: KnownExec, { waiting, facts }: Asked): Promise<Executed | undefined> {
  const patience = { deadlineMs: frameDeadlineMs };
  const late = (session: Session) => endErrand(host, session, frameDeadlineMs);
  const bound = { ...patience, clock: host.clock, doing: 'letting the init of the command go on', late };
  return become(host, known, within(waiting.letGo(go), bound), { facts, patience });
}

const go = goMessage(tags.start);

export interface AheadRequest {
  /** The container's first, by its pidfd. */
  readonly process: Handle;
  readonly stdio: Stdio;
  /** To be born in. */
  readonly cgroup: Handle | undefined;
}

interface AgainRequest extends AheadRequest {
  readonly facts: Facts;
  readonly cancel: Cancel | undefined;
  /** How long to stay with it before it is told of. */
  readonly stayMs: number | undefined;
}

interface Asked {
  readonly waiting: Waiting;
  readonly facts: Facts;
}

const errandOf = ({ messages, order }: KnownExec, { process, stdio }: AheadRequest): Errand => ({
  messages,
  handles: givenInputs(order, { process, stdio }),
});

/** What becomes of an init that has all that it needs. */
async function become(
  host: Host,
  known: KnownExec,
  work: Promise<Session>,
  { facts, patience }: { readonly facts: Facts; readonly patience: Patience },
): Promise<Executed | undefined> {
  let session: Session;
  try {
    session = await work;
  } catch (error) {
    if (mayHaveBegun(error)) throw refused(error, { at: 'spawn', doing: 'start the command once more', facts });
    return undefined;
  }
  const exit = usualEnd(session, known);
  if (exit !== undefined) return over(session, exit);
  if (session.errand !== true) {
    await abandon(host, session);
    return undefined;
  }
  const undo = new Undo();
  undo.add(() => endErrand(host, session, frameDeadlineMs));
  const channel = new Channel(host, session, patience);
  const handles = new Map<number, Handle>();
  const { plan, waits } = known;
  const progress = { segment: plan.segment, inputs: plan.inputs, facts, handles };
  const walk = { session, channel, progress, handles };
  const { pid } = session;
  try {
    if (waits && !(await hasWaited(walk))) throw nothingDone;
    const executed = await untilExecuted(host, walk, undo);
    // Who waited goes on in a child, and nobody has told of that: it was killed on the way.
    if (!waits || session.pid !== pid) return executed;
    await executed.exit;
    executed.release();
    return undefined;
  } catch (error) {
    const errors = await undo.run();
    if (errors.length === 0 && (error === nothingDone || (waits ? hasFailed(error) : isUnknown(error))))
      return undefined;
    throw withReleaseErrors(error, errors);
  }
}

const nothingDone = Symbol('the init has ended where it was to wait');

/** False where it has ended before: what it was let go on by it has never heard. */
async function hasWaited({ channel, progress }: Walk): Promise<boolean> {
  const frame = await nextMilestone(channel, progress);
  if (frame !== undefined && !isStart(frame)) throw unexpected(frame, 'the start of the command');
  return frame !== undefined;
}

/** Of one that is over, and said nothing but who it is, and that it waits. */
function usualEnd({ over }: Session, { waits }: KnownExec): Exit | undefined {
  const frames = over?.frames;
  if (over === undefined || frames === undefined || frames.length !== (waits ? 1 : 0)) return undefined;
  return !waits || isStart(frames[0]!) ? wholeExit(over.exit) : undefined;
}

const isStart = (frame: Frame): boolean => frame.kind === 'sync' && frame.tag === tags.start;

/** A copy that ended because its zygote was killed before it could tell of it: it has done nothing. */
const isUnknown = (error: unknown): boolean =>
  RuntsError.is(error) && error.failure?.step === 'clone' && error.failure.detail === 'zygote';

/** It says what it could not do, and so has not executed anything: what it found some time ago is another by now. */
const hasFailed = (error: unknown): boolean => RuntsError.is(error) && error.failure?.op !== undefined;

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
