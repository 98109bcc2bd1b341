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
    const received = await channel.receive(hookTimeMs(progress)).catch((error: unknown) => {
      throw heldUp(error, progress);
    });
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

/** The hooks that an init runs, each with the time that it was promised; 0 where it was promised none. */
function hooksOf({ segment }: Progress): readonly { readonly path: string; readonly timeoutMs: number }[] {
  const hooks = segment.ops.filter(({ op }) => op === 'hook');
  return hooks.map(({ operands }) => {
    const { path, timeout } = operands as { readonly path: string; readonly timeout: number };
    return { path, timeoutMs: timeout };
  });
}

/** Three weeks: longer than that, less the deadline itself, timers may not count. */
const hookTimeMsMax = 0x7000_0000;

const hookTimes = new WeakMap<Segment, number>();

/** The same for each frame of an init. */
function hookTimeMs(progress: Progress): number {
  const known = hookTimes.get(progress.segment);
  if (known !== undefined) return known;
  const sum = hooksOf(progress).reduce((all, { timeoutMs }) => all + timeoutMs, 0);
  const time = Math.min(sum, hookTimeMsMax);
  hookTimes.set(progress.segment, time);
  return time;
}

/** An init that does not answer: a hook without a time of its own, where there is one, is the usual reason. */
function heldUp(error: unknown, progress: Progress): unknown {
  const endless = hooksOf(progress).filter(({ timeoutMs }) => timeoutMs === 0);
  if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT' || endless.length === 0) return error;
  const paths = [...new Set(endless.map(({ path }) => path))].join(', ');
  return new RuntsError('ERR_TIMEOUT', error.message, {
    hint: `A createContainer or startContainer hook may not have ended (${paths}): give it a \`timeout\`, and that is waited for.`,
    cause: error,
  });
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
    await lastWords(host, channel, progress);
    throw refused(error, { at: 'spawn', doing: 'reach the init', facts: progress.facts });
  }
}

/** Throws what an init said that is given up, where it said anything. */
export async function lastWords(host: Host, channel: Channel, progress: Progress): Promise<void> {
  host.processes.signal(channel.session.process, 9);
  while ((await nextMilestone(channel, progress)) !== undefined);
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
