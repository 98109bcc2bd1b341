import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { fuseProgram, fuseTag } from '../plan/fuse.ts';
import { type FuseInput, tags } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { closeHandles } from './program.ts';
import { deliver, died, nextMilestone, type Progress, unexpected } from './progress.ts';
import { Channel, endSession } from './session.ts';
import type { Undo } from './undo.ts';

export interface ServerSources {
  readonly input: FuseInput;
  /** The user namespace of the container, and a mount of the layers: as the input says. They stay the caller's. */
  readonly user: Handle | undefined;
  readonly layers: Handle | undefined;
  readonly facts: Facts;
}

/**
 * Starts the program that serves the files of a container, and gives its mount, which is the caller's to close. It ends when
 * `servers` is run, and when this process ends, however that comes.
 */
export async function startServer(
  host: Host,
  { input, user, layers, facts }: ServerSources,
  patience: Patience,
  servers: Undo,
): Promise<Handle> {
  const segment = fuseProgram(input, facts);
  const bytes = encode(segment);
  const ports = bounded(host, patience);
  const session = await ports.processes.spawn({ flags: 0 }).catch((error: unknown) => {
    throw refused(error, { at: 'spawn', doing: 'start an init', facts });
  });
  servers.add(() => endSession(host, session, patience.deadlineMs));
  session.hold(false);
  const channel = new Channel(host, session, patience);
  const handles = new Map<number, Handle>();
  const progress: Progress = { segment, facts, handles };
  const nothing = host.kernel.blob(new Uint8Array());
  const inputs = [nothing, user, layers].filter((handle) => handle !== undefined);
  try {
    await deliver(host, channel, progress, channel.sendProgram(bytes, inputs));
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, patience.deadlineMs);
    if (frame.kind !== 'sync' || frame.tag !== fuseTag) throw unexpected(frame, 'the mount of a server');
    await deliver(host, channel, progress, channel.go(fuseTag));
    const mount = handles.get(tags.mount);
    if (mount === undefined) throw new RuntsError('ERR_INTERNAL', 'the helper sent no mount of a server');
    return mount;
  } catch (error) {
    closeHandles(handles);
    throw error;
  } finally {
    nothing.close();
  }
}
