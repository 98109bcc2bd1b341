import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { type Segment, tags } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { closeHandles } from './program.ts';
import { deliver, died, nextMilestone, type Progress, unexpected } from './progress.ts';
import { Channel, endSession } from './session.ts';
import type { Undo } from './undo.ts';

export interface ServerRequest {
  readonly segment: Segment;
  /** They stay the caller's. */
  readonly inputs: readonly Handle[];
  readonly facts: Facts;
  /** The sync point at which it has sent its mount. */
  readonly tag: number;
}

/** How a server ends with its container, or is let go of with it. */
export interface ServerUndo {
  readonly servers: Undo;
  readonly leaving?: Undo | undefined;
}

/**
 * Starts an init that serves files of a container, or stays with who does, and gives its mount, which is the caller's to
 * close. It ends when `servers` is run, and when this process ends, however that comes.
 */
export async function startServer(
  host: Host,
  { segment, inputs, facts, tag }: ServerRequest,
  patience: Patience,
  { servers, leaving }: ServerUndo,
): Promise<Handle> {
  const bytes = encode(segment);
  const ports = bounded(host, patience);
  const session = await ports.processes.spawn({ flags: 0 }).catch((error: unknown) => {
    throw refused(error, { at: 'spawn', doing: 'start an init', facts });
  });
  servers.add(() => endSession(host, session, patience.deadlineMs));
  leaving?.add(() => {
    session.close();
    void session.exit.then(() => session.process.close());
  });
  session.hold(false);
  const channel = new Channel(host, session, patience);
  const handles = new Map<number, Handle>();
  const progress: Progress = { segment, facts, handles };
  try {
    await deliver(host, channel, progress, channel.sendProgram(bytes, inputs));
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, patience.deadlineMs);
    if (frame.kind !== 'sync' || frame.tag !== tag) throw unexpected(frame, 'the mount of a server');
    await deliver(host, channel, progress, channel.go(tag));
    const mount = handles.get(tags.mount);
    if (mount === undefined) throw new RuntsError('ERR_INTERNAL', 'the helper sent no mount of a server');
    return mount;
  } catch (error) {
    closeHandles(handles);
    throw error;
  }
}
