import { RuntsError } from '../errors.ts';
import { tags } from '../plan/plan.ts';
import { decodeFrame } from '../program/frames.ts';
import { type Cancel, throwIfCanceled, within } from './cancel.ts';
import type { Created } from './create.ts';
import { diedSilently } from './failure.ts';
import type { Exit, Message, Session } from './host.ts';
import { deliver, died, nextMilestone, type Progress, unexpected } from './progress.ts';
import { Channel, closeAll, nextMessage } from './session.ts';
import { withReleaseErrors } from './undo.ts';

export interface StartOptions {
  readonly signal?: Cancel | undefined;
}

/** A container whose command was executed. */
export interface Running {
  readonly created: Created;
  /** How the command ended, after its process has been reaped. Never rejects. */
  readonly exit: Promise<Exit>;
}

/** Once the command runs, the other side of the channel is no longer only ours. */
const extraFramesMax = 64;
/** How long process 1 may stay after the channel was closed. */
const lingerMs = 10_000;

const started = new WeakSet<Created>();

/** Lets a created container go on and waits until its command is executed. On failure everything is released. */
export async function start(created: Created, { signal: cancel }: StartOptions = {}): Promise<Running> {
  const { host, plan, session, options, undo } = created;
  if (undo.begun) throw new RuntsError('ERR_STATE', 'the container has been removed');
  if (started.has(created)) throw new RuntsError('ERR_STATE', 'the container has been started already');
  started.add(created);
  try {
    throwIfCanceled(cancel, 'starting a container');
    const { deadlineMs, trace, facts } = options;
    const channel = new Channel(host, session, { deadlineMs, cancel, trace, last: `sync ${tags.start}` });
    const progress = { segment: plan.segment, facts, handles: created.handles };
    if (!created.goesOn) await deliver(host, channel, progress, channel.go(tags.start));
    if (plan.reaps) await untilStarted(created, channel, progress);
    else await untilExec(channel, progress);
    if (undo.begun) throw new RuntsError('ERR_STATE', 'the container was removed while it started');
    return { created, exit: plan.reaps && !plan.outlives ? reapedExit(created) : session.exit };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** With a reaper the channel outlives the exec, so a frame says that it happened. */
async function untilStarted(created: Created, channel: Channel, progress: Progress): Promise<void> {
  const frame = await nextMilestone(channel, progress);
  if (frame?.kind === 'started') return;
  if (frame === undefined) throw await died(created.host, channel, created.options.deadlineMs);
  if (frame.kind === 'exit') throw diedSilently(exitOfStatus(frame.status) ?? unknownExit, channel.last);
  throw unexpected(frame, 'the start of the command');
}

/**
 * Without a reaper the exec closes the channel, and so does the death of the init. An init that fails says why first; of one that did
 * not, the end is the command's, also with the exit code of an init that failed: `env` and `timeout` use 125 too.
 */
async function untilExec(channel: Channel, progress: Progress): Promise<void> {
  const frame = await nextMilestone(channel, progress);
  if (frame !== undefined) throw unexpected(frame, 'the execution of the command');
}

/** That of an init that failed. */
const unknownExit: Exit = { code: 125, signal: undefined };

/** The exit that process 1 reports of the command counts; without a report, its own. */
async function reapedExit({ host, session }: Created): Promise<Exit> {
  const reported = await reportedExit(session);
  // Process 1 ends with the channel, and with it what the command left running.
  session.close();
  const { clock } = host;
  await within(session.exit, { clock, deadlineMs: lingerMs, doing: 'waiting for process 1' }).catch(() =>
    host.processes.signal(session.process, 9),
  );
  const ended = await session.exit;
  return reported ?? ended;
}

/** Reads on for the exit frame. What else comes is let go, up to a bound; nothing here may throw. */
async function reportedExit(session: Session): Promise<Exit | undefined> {
  for (let i = 0; i <= extraFramesMax; i++) {
    const message = await nextMessage(session).catch(() => undefined);
    if (message === undefined) return undefined;
    closeAll(message);
    const exit = exitIn(message);
    if (exit !== undefined) return exit;
  }
  return undefined;
}

function exitIn(message: Message): Exit | undefined {
  try {
    const frame = decodeFrame(message.bytes);
    return frame.kind === 'exit' ? exitOfStatus(frame.status) : undefined;
  } catch {
    return undefined;
  }
}

/** A wait status as in wait(2); undefined for one that is no end, but a stop. */
export function exitOfStatus(status: number): Exit | undefined {
  const signal = status & 0x7f;
  if (signal === 0) return { code: (status >> 8) & 0xff, signal: undefined };
  return signal === 0x7f ? undefined : { code: undefined, signal };
}

/** Undefined where somebody else has collected it. */
export const wholeExit = (exit: Exit): Exit | undefined =>
  exit.code === undefined && exit.signal === undefined ? undefined : exit;
