import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { type Plan, tags } from '../plan/plan.ts';
import { encoded } from '../program/encoded.ts';
import { goMessage, segmentMessages } from '../program/frames.ts';
import { bounded, type Patience } from './bounded.ts';
import type { Cancel } from './cancel.ts';
import { errnoOf, refused } from './failure.ts';
import type { Errand, Handle, Host, Session, SpawnRequest } from './host.ts';
import { areGiven, givenInputs, givenOrder, type InputSources, openInputs } from './inputs.ts';
import { completeMaps, writeMaps } from './maps.ts';
import { once } from './once.ts';
import { deliver, died, lastWords, nextMilestone, type Progress, unexpected } from './progress.ts';
import { abandon, Channel, endErrand, endSession } from './session.ts';
import { Undo } from './undo.ts';

export interface WalkOptions {
  readonly signal?: Cancel | undefined;
  /** Of each single wait: on the init, on a file, on a helper. */
  readonly deadlineMs: number;
  /** What the plan was made from; it makes hints better. */
  readonly facts?: Facts | undefined;
  /** Hears how many nanoseconds each op took. */
  readonly trace?: ((op: number, ns: bigint) => void) | undefined;
  /** This op fails, with this errno: for tests. */
  readonly failAt?: number | undefined;
  readonly failErrno?: number | undefined;
}

/** What the host does at a sync point, by tag, before it lets the init go on; a handle goes with the answer. */
export type Answers = ReadonlyMap<number, (session: Session) => Promise<Handle | undefined>>;

/** An init that runs a plan. */
export interface Walk {
  readonly session: Session;
  readonly channel: Channel;
  readonly progress: Progress;
}

export interface Birthplace {
  readonly path: string;
  /**
   * Absent where it must be entered: a cgroup that others made before. On kernels from 6.15 on, a process that is born in one
   * whose cgroup.kill was ever written dies at once.
   */
  readonly handle: Handle | undefined;
  /** Moves a process there, where it cannot be born there. */
  readonly enter?: ((pid: number) => Promise<void>) | undefined;
}

export interface WalkRequest {
  readonly plan: Plan;
  readonly options: WalkOptions;
  readonly sources: Omit<InputSources, 'pid' | 'facts' | 'cgroup'>;
  /** Where the init is to be born. */
  readonly cgroup?: Birthplace | undefined;
  /** Whether the process is left to others (SpawnRequest). */
  readonly detached?: boolean | undefined;
  /** Nobody has to hear that the container is ready to start: it is let go on as soon as it has its program. */
  readonly ahead?: boolean | undefined;
  /** Somebody writes to the command as soon as it is there, and it may wait for that. */
  readonly fed?: boolean | undefined;
  /** Collects what the init sends, by tag; whoever owns the map closes them. */
  readonly handles: Map<number, Handle>;
  /** Hears of what the init sends, as it comes. */
  readonly arrived?: Progress['arrived'];
  /** Hears of the init as soon as there is one. */
  readonly born?: ((session: Session) => Promise<void>) | undefined;
  /** May refuse: the inputs are open, and the init has not got them yet. */
  readonly opened?: (() => Promise<void>) | undefined;
}

/** What is known of an init before its plan is. */
export interface Birth
  extends Pick<WalkRequest, 'cgroup' | 'options'>,
    Pick<SpawnRequest, 'flags' | 'maps' | 'detached' | 'stayMs'> {}

export interface PreparedWalk {
  readonly request: WalkRequest;
  /** The plan's segment, as it is sent. */
  readonly messages: readonly Uint8Array[];
}

/**
 * Most of what is let go on at once is over by then, and is told of in one turn of the event loop instead of five; of the others
 * the start is told so much later at most.
 */
export const briefMs = 10;

/** Clones an init and gives it its plan. Whatever fails afterwards, `undo` ends it. */
export async function beginWalk(host: Host, request: WalkRequest, undo: Undo): Promise<Walk> {
  const { plan, options } = request;
  const maps = hasMapsSync(plan) ? undefined : plan.maps;
  const prepare = () => ({ request, messages: segmentMessages(encoded(plan.segment, encoding(options))) });
  const isWaitedFor = request.detached === true || request.fed === true || !hasErrand(request);
  const stayMs = request.ahead === true && !isWaitedFor ? briefMs : undefined;
  return beginWalkOf(host, { ...request, flags: plan.flags, maps, stayMs }, prepare, undo);
}

/** The same where what the init is to do can be prepared while there is none yet: that takes as long as it takes to begin. */
export async function beginWalkOf(host: Host, birth: Birth, prepare: () => PreparedWalk, undo: Undo): Promise<Walk> {
  const prepared = once(prepare);
  const { options } = birth;
  const { deadlineMs, signal: cancel, facts, trace } = options;
  const patience = { deadlineMs, cancel };
  const ports = bounded(host, patience);
  const session = await clone(ports, birth, prepared);
  const { request, messages } = await preparedFor(session, ports, prepared);
  const { plan, sources, handles } = request;
  const end = session.errand === true && !waits(plan) ? endErrand : endSession;
  undo.add(() => end(host, session, deadlineMs));
  await request.born?.(session);

  const channel = new Channel(host, session, { deadlineMs, cancel, trace });
  const progress = { segment: plan.segment, inputs: plan.inputs, facts, handles, arrived: request.arrived };
  if (session.errand === true) return { session, channel, progress };
  if (!hasMapsSync(plan)) {
    await completeMaps(ports, session, plan.maps).catch(async (error: unknown) => {
      // It has no maps any more where it has ended, and may have said why.
      if (RuntsError.is(error) && isGone(error.cause)) await lastWords(host, channel, progress);
      throw error;
    });
  }
  const inputs = new Undo();
  undo.add(() => inputs.run());
  const registers = await openInputs(
    host,
    plan,
    { ...sources, facts, pid: session.pid, cgroup: request.cgroup?.path },
    patience,
    inputs,
  );
  await request.opened?.();
  await deliver(host, channel, progress, channel.sendMessages(messages, registers));
  if (request.ahead) await deliver(host, channel, progress, channel.go(tags.start));
  await inputs.run();
  return { session, channel, progress };
}

/** Not every host asks for it while it clones. */
async function preparedFor(session: Session, ports: Host, prepared: () => PreparedWalk): Promise<PreparedWalk> {
  try {
    return prepared();
  } catch (error) {
    await abandon(ports, session);
    throw error;
  }
}

/** All that an init is given before it begins: where nothing of it has to wait until there is one. */
function errandOf({ request, messages }: PreparedWalk): Errand | undefined {
  const { plan, sources, ahead } = request;
  if (!hasErrand(request)) return undefined;
  const order = givenOrder(plan);
  const [message, ...others] = messages;
  if (order === undefined || message === undefined || others.length > 0) return undefined;
  const handles = givenInputs(order, sources);
  return { messages: ahead ? [message, goMessage(tags.start)] : [message], handles };
}

/** There are no id maps, or whoever clones can write them. */
export const areWritten = (plan: Plan): boolean =>
  plan.maps === undefined || (plan.maps.by === 'write' && !hasMapsSync(plan));

/** Whether nothing of what an init needs has to wait until there is one. */
const hasErrand = ({ plan, born, opened }: WalkRequest): boolean =>
  areWritten(plan) && born === undefined && opened === undefined && areGiven(plan.inputs);

const waits = ({ segment }: Plan) => segment.ops.some(({ op }) => op === 'sync');

const isGone = (error: unknown) => ['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '');

/** The answer at `tags.maps`: where the init makes its user namespace itself, it asks for the maps. */
export function writeLater(ports: Host, { maps }: Plan): (session: Session) => Promise<undefined> {
  return async ({ pid }) => {
    if (maps !== undefined) await writeMaps(ports, pid, maps);
    return undefined;
  };
}

/** The user namespace is made by the init itself, which asks for the maps then. */
const hasMapsSync = ({ maps, segment }: Plan) =>
  maps !== undefined && segment.ops.some(({ op, operands }) => op === 'sync' && operands.tag === tags.maps);

/** Whether the init stops for nobody before it is ready to start: then the answer to that can wait for it. */
export const stopsOnlyToStart = ({ segment }: Plan): boolean =>
  segment.ops.every(
    ({ op, operands }) => op !== 'receive' && op !== 'await_start' && (op !== 'sync' || operands.tag === tags.start),
  );

/** Answers sync points until the one with this tag is reached, which is left unanswered. */
export async function walkTo(host: Host, walk: Walk, tag: number, answers: Answers, patience: Patience): Promise<void> {
  const { channel, progress, session } = walk;
  for (;;) {
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, patience.deadlineMs);
    if (frame.kind !== 'sync') throw unexpected(frame, 'the next sync point');
    if (frame.tag === tag) return;
    const answer = answers.get(frame.tag);
    if (answer === undefined) throw unexpected(frame, 'the next sync point');
    const handle = await answer(session);
    try {
      await deliver(host, channel, progress, channel.go(frame.tag, handle));
    } finally {
      handle?.close();
    }
  }
}

function encoding({ trace, failAt, failErrno }: WalkOptions) {
  return {
    trace: trace !== undefined,
    ...(failAt !== undefined && { failAt }),
    ...(failErrno !== undefined && { failErrno }),
  };
}

/** Errnos of clone3(2) that are about the cgroup and not about the namespaces. */
const aboutTheCgroup = ['EACCES', 'EBUSY', 'EOPNOTSUPP', 'ENOENT', 'ENODEV'];
/**
 * A kernel, or a filter around us, that knows no CLONE_INTO_CGROUP, or a limit of no processes (pids.max counts births, and not
 * who moves in): a process can still be moved there.
 */
const notByClone = ['EAGAIN', 'EOPNOTSUPP', 'EACCES', 'EINVAL', 'E2BIG', 'ENOSYS'];

async function clone(ports: Host, birth: Birth, prepared: () => PreparedWalk): Promise<Session> {
  const { flags, maps, cgroup, options, detached } = birth;
  const { facts } = options;
  const request = { flags, maps, detached };
  if (cgroup?.enter !== undefined && cgroup.handle === undefined) return moved(ports, request, cgroup.enter, facts);
  try {
    return await ports.processes.spawn({ ...request, cgroup: cgroup?.handle, ...errandFor(birth, prepared) });
  } catch (error) {
    const errno = errnoOf(error) ?? '';
    if (cgroup?.enter !== undefined && notByClone.includes(errno)) return moved(ports, request, cgroup.enter, facts);
    const at = cgroup !== undefined && aboutTheCgroup.includes(errno) ? 'cgroup' : 'spawn';
    const doing =
      at === 'cgroup' ? `start a process in the cgroup ${cgroup?.path}` : 'start a process in new namespaces';
    throw refused(error, { at, doing, facts });
  }
}

/** Who stays with an init, or writes its maps, needs its errand before; other inits are being made meanwhile. */
function errandFor({ stayMs, maps }: Birth, prepared: () => PreparedWalk): Pick<SpawnRequest, 'errand' | 'stayMs'> {
  if (stayMs === undefined && maps === undefined) return { errand: () => errandOf(prepared()) };
  const errand = errandOf(prepared());
  return errand === undefined ? {} : { errand, stayMs };
}

/** Before it gets its program, a process waits and does nothing: it can be moved as well as be born there. */
async function moved(
  ports: Host,
  request: SpawnRequest,
  enter: (pid: number) => Promise<void>,
  facts: Facts | undefined,
): Promise<Session> {
  const session = await ports.processes.spawn(request).catch((error: unknown) => {
    throw refused(error, { at: 'spawn', doing: 'start a process in new namespaces', facts });
  });
  try {
    await enter(session.pid);
    return session;
  } catch (error) {
    await abandon(ports, session);
    throw error;
  }
}
