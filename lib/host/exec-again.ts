import { RuntsError } from '../errors.ts';
import { planAhead } from '../plan/exec-ahead.ts';
import type { Facts } from '../plan/facts.ts';
import { type Segment, tags } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { type Frame, segmentMessages } from '../program/frames.ts';
import type { Process } from '../spec/types.ts';
import { boundedSpawn, type Patience } from './bounded.ts';
import type { Cancel } from './cancel.ts';
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
}

/** Commands of a container that differ in their arguments, environment and working directory alone: an init may wait for the next one. */
export interface KnownAhead extends KnownExec {
  /** Undefined where it is more than one message. Errors: as those of a plan (`planExec`). */
  readonly rest: (command: Process) => Rest | undefined;
}

/** What an init that has waited is to do. */
export interface Rest {
  readonly segment: Segment;
  readonly message: Uint8Array;
}

/** What is to be known of a command: it may be kept for long. */
export type CommandOf = Pick<ExecRequest, 'id' | 'spec' | 'process' | 'first' | 'cgroup' | 'ownStdio'>;

/** Undefined where there is more to it than one message, or it is to be moved to its cgroup. */
export function knownExec(facts: Facts, request: CommandOf): KnownExec | undefined {
  const { first } = request;
  return first && knownOf(request, planAtHand(facts, { ...request, atOnce: true }, first.namespaces));
}

/** The same, of an init that is made before somebody asks for a command. Undefined too where it would be seen in the container. */
export function knownAhead(facts: Facts, request: CommandOf): KnownAhead | undefined {
  const { first } = request;
  const ahead =
    first && planAhead({ ...planned(request, undefined, first.namespaces), atOnce: false, ahead: true }, facts);
  if (ahead === undefined) return undefined;
  const { plan } = ahead;
  const known = knownOf(request, { plan, messages: segmentMessages(encode(plan.segment)) });
  if (known === undefined) return undefined;
  const rest = (command: Process): Rest | undefined => {
    const segment = ahead.rest(command);
    const [message, ...others] = segmentMessages(encode(segment));
    return message === undefined || others.length > 0 ? undefined : { segment, message };
  };
  return { ...known, children: childrenOf(ahead.rest(request.process)), rest };
}

function knownOf({ cgroup }: CommandOf, { plan, messages }: Compiled): KnownExec | undefined {
  const order = givenOrder(plan);
  const isMoved = cgroup !== undefined && cgroup.handle === undefined;
  if (isMoved || messages.length !== 1 || order === undefined) return undefined;
  return { plan, messages, order, children: childrenOf(plan.segment) };
}

const childrenOf = ({ ops }: Segment): number => ops.filter(({ op }) => op === 'fork').length;

/** Undefined where there is no init: whoever executes it in the ordinary way hears why. */
export async function execAgain(host: Host, known: KnownExec, request: AgainRequest): Promise<Executed | undefined> {
  const patience = { deadlineMs: frameDeadlineMs, cancel: request.cancel };
  const { plan, children } = known;
  const { cgroup, stayMs, facts } = request;
  const errand = errandOf(known, request);
  const work = boundedSpawn(host, { flags: plan.flags, cgroup, errand, stayMs, children }, patience);
  return become(host, work, { known, facts, patience });
}

const patience: Patience = { deadlineMs: frameDeadlineMs };

/** An init that waits until a command is asked for. Undefined where nobody can make one. */
export function makeAhead(host: Host, known: KnownExec, request: AheadRequest): Waiting | undefined {
  const errand = errandOf(known, request);
  return host.processes.ahead({ cgroup: request.cgroup, errand, stayMs: briefMs, children: known.children });
}

/** Undefined where it has done nothing: the command can be executed in another way. */
export function execAhead(
  host: Host,
  known: KnownExec,
  { waiting, rest, facts }: Asked,
): Promise<Executed | undefined> {
  return become(host, waiting.letGo(rest.message), { known, rest, facts, patience });
}

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
  readonly rest: Rest;
  readonly facts: Facts;
}

interface Becoming {
  readonly known: KnownExec;
  /** Of one that has waited. */
  readonly rest?: Rest;
  readonly facts: Facts;
  readonly patience: Patience;
}

const errandOf = ({ messages, order }: KnownExec, { process, stdio }: AheadRequest): Errand => ({
  messages,
  handles: givenInputs(order, { process, stdio }),
});

/** What becomes of an init that has all that it needs. */
async function become(
  host: Host,
  work: Promise<Session>,
  { known, rest, facts, patience }: Becoming,
): Promise<Executed | undefined> {
  let session: Session;
  try {
    session = await work;
  } catch (error) {
    if (mayHaveBegun(error)) throw refused(error, { at: 'spawn', doing: 'start the command once more', facts });
    return undefined;
  }
  const exit = usualEnd(session, rest);
  if (exit !== undefined) return over(session, exit);
  if (session.errand !== true) {
    await abandon(host, session);
    return undefined;
  }
  const undo = new Undo();
  undo.add(() => endErrand(host, session, frameDeadlineMs));
  const channel = new Channel(host, session, patience);
  const handles = new Map<number, Handle>();
  const { plan } = known;
  const progress = { segment: plan.segment, inputs: plan.inputs, facts, handles };
  const walk = { session, channel, progress, handles };
  const { pid } = session;
  try {
    if (rest !== undefined && !(await hasWaited(walk))) throw nothingDone;
    const { segment } = rest ?? plan;
    const executed = await untilExecuted(host, { ...walk, progress: { ...progress, segment } }, undo);
    // Who waited goes on in a child, and nobody has told of that: it was killed on the way.
    if (rest === undefined || session.pid !== pid) return executed;
    await executed.exit;
    executed.release();
    return undefined;
  } catch (error) {
    const errors = await undo.run();
    if (errors.length === 0 && (error === nothingDone || (rest === undefined ? isUnknown(error) : hasFailed(error))))
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
function usualEnd({ over }: Session, rest: Rest | undefined): Exit | undefined {
  const frames = over?.frames;
  if (over === undefined || frames === undefined || frames.length !== (rest === undefined ? 0 : 1)) return undefined;
  return rest === undefined || isStart(frames[0]!) ? wholeExit(over.exit) : undefined;
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
