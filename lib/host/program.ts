import type { Facts } from '../plan/facts.ts';
import type { Maps, Segment } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import type { Handle, Host, Session } from './host.ts';
import { completeMaps } from './maps.ts';
import { deliver, died, nextMilestone, unexpected } from './progress.ts';
import { Channel, endSession } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

export interface ShortProgram {
  /** CLONE_NEW* flags; none unless given. */
  readonly flags?: number;
  readonly maps?: Maps | undefined;
  readonly segment: Segment;
  /** In the order of the segment's inputs; they stay the caller's. */
  readonly inputs?: readonly Handle[];
  readonly facts?: Facts | undefined;
}

/** Runs a program that ends in `halt` in a throw-away child, to its end; gives the handles that it sent, by tag. */
export async function runProgram(host: Host, program: ShortProgram, patience: Patience): Promise<Map<number, Handle>> {
  const { flags = 0, maps, segment, inputs = [], facts } = program;
  const { deadlineMs } = patience;
  const bytes = encode(segment);
  const ports = bounded(host, patience);
  const handles = new Map<number, Handle>();
  const undo = new Undo();
  const made = new Undo();
  made.add(() => closeHandles(handles));
  try {
    const session = await ports.processes.spawn({ flags, maps }).catch((error: unknown) => {
      throw refused(error, { at: 'spawn', doing: 'start an init', facts });
    });
    undo.add(() => endSession(host, session, deadlineMs));
    await completeMaps(ports, session, maps);
    const channel = new Channel(host, session, patience);
    const progress = { segment, facts, handles };
    await deliver(host, channel, progress, channel.sendProgram(bytes, inputs));
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, deadlineMs);
    if (frame.kind !== 'done') throw unexpected(frame, 'the end of the program');
  } catch (error) {
    throw withReleaseErrors(error, [...(await undo.run()), ...(await made.run())]);
  }
  const errors = await undo.run();
  if (errors.length > 0) throw withReleaseErrors(errors[0], [...errors.slice(1), ...(await made.run())]);
  return handles;
}

export interface StayingProgram extends ShortProgram {
  /** The sync point at which it is ready. */
  readonly tag: number;
  /** For the error: `start a keeper`. */
  readonly doing: string;
}

/** Starts a program that stays, in a child, and lets it go on from where it is ready; whoever has its session is to end it. */
export async function startProgram(host: Host, program: StayingProgram, patience: Patience): Promise<Session> {
  const { flags = 0, maps, segment, inputs = [], facts, tag, doing } = program;
  const ports = bounded(host, patience);
  const undo = new Undo();
  try {
    const session = await ports.processes.spawn({ flags, maps }).catch((error: unknown) => {
      throw refused(error, { at: 'spawn', doing, facts });
    });
    undo.add(() => endSession(host, session, patience.deadlineMs));
    await completeMaps(ports, session, maps);
    const channel = new Channel(host, session, patience);
    const progress = { segment, facts, handles: new Map<number, Handle>() };
    await deliver(host, channel, progress, channel.sendProgram(encode(segment), inputs));
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, patience.deadlineMs);
    if (frame.kind !== 'sync' || frame.tag !== tag) throw unexpected(frame, 'the sync point of a program that stays');
    await deliver(host, channel, progress, channel.go(tag));
    return session;
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

export function closeHandles(handles: ReadonlyMap<number, Handle>): void {
  for (const handle of handles.values()) handle.close();
}
