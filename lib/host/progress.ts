import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import type { Input, Segment } from '../plan/plan.ts';
import type { Frame } from '../program/frames.ts';
import { within } from './cancel.ts';
import { diedSilently, opFailure, refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { type Channel, named } from './session.ts';

/** What the frames of an init are understood by, and where the handles that it sends go. */
export interface Progress {
  readonly segment: Segment;
  readonly facts?: Facts | undefined;
  /** What the segment's inputs are, for what is said about them. */
  readonly inputs?: readonly Input[] | undefined;
  /** By tag; whoever owns the map closes them. */
  readonly handles: Map<number, Handle>;
  /** Hears of each handle as it comes, while the init may be held up by whoever gets it. */
  readonly arrived?: ((tag: number, handle: Handle) => Promise<void>) | undefined;
}

export type Milestone = Exclude<Frame, { kind: 'trace' | 'handle' | 'forked' | 'error' }>;

/**
 * The next frame that somebody must decide on; undefined when the channel has ended. Handles are collected, a fork is
 * followed, and an error frame is thrown in words.
 */
export async function nextMilestone(channel: Channel, progress: Progress): Promise<Milestone | undefined> {
  for (;;) {
    const received = await channel.receive();
    if (received === undefined) return undefined;
    const { frame, handle } = received;
    switch (frame.kind) {
      case 'handle':
        keep(progress.handles, frame.tag, handle as Handle);
        await progress.arrived?.(frame.tag, handle as Handle);
        break;
      case 'forked':
        channel.session.adopt(frame.pid, handle as Handle);
        break;
      case 'error':
        throw opFailure(frame, progress.segment, progress.facts, progress.inputs);
      default:
        return frame;
    }
  }
}

function keep(handles: Map<number, Handle>, tag: number, handle: Handle): void {
  if (handles.has(tag)) {
    handle.close();
    throw new RuntsError('ERR_INTERNAL', `the init sent two handles with tag ${tag}`);
  }
  handles.set(tag, handle);
}

/** A message to the init; where it cannot be delivered, what the init said before it went is the better error. */
export async function deliver(host: Host, channel: Channel, progress: Progress, sent: Promise<void>): Promise<void> {
  try {
    await sent;
  } catch (error) {
    if (RuntsError.is(error)) throw error;
    host.processes.signal(channel.session.process, 9);
    while ((await nextMilestone(channel, progress)) !== undefined);
    throw refused(error, { at: 'spawn', doing: 'reach the init', facts: progress.facts });
  }
}

/** The error for a channel that ended before its time. */
export async function died(host: Host, channel: Channel, deadlineMs: number): Promise<RuntsError> {
  const { exit, pid } = channel.session;
  const doing = `waiting for process ${pid}, which closed its channel, to end`;
  return diedSilently(await within(exit, { clock: host.clock, deadlineMs, doing }), channel.last);
}

/** The error for a frame that makes no sense at this point. */
export function unexpected(frame: Frame, awaited: string): RuntsError {
  return new RuntsError('ERR_INTERNAL', `the init sent ${named(frame)} where ${awaited} was due`);
}
