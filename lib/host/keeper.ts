import { RuntsError } from '../errors.ts';
import { type Cleanup, keeperProgram, keeperTag } from '../plan/keeper.ts';
import type { Maps } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { completeMaps } from './maps.ts';
import { deliver, died, nextMilestone, unexpected } from './progress.ts';
import { Channel, endSession } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

export type { Heir } from '../plan/keeper.ts';

/** Something that survives us and cleans up: when it is told to, or when it sees that nobody is left to tell it. */
export interface Keeper {
  /** Cleans up now. Every call waits for the same work. */
  release(): Promise<void>;
  /** Ends it before it has done anything: what it kept stays. */
  dismiss(): Promise<void>;
}

export interface KeeperRequest {
  readonly cleanup: Cleanup;
  /** The directories that `cleanup` names its entries in; they stay the caller's. */
  readonly directories: readonly Handle[];
  /** The id maps of the container: where it has subordinate ids, only they may remove what those ids own. */
  readonly maps?: Maps | undefined;
  /** CLONE_NEWUSER where there are maps. */
  readonly flags: number;
}

/** How long the removal of a tree may take: a large one on a slow disk. */
const removalMs = 600_000;

const sigkill = 9;

/** Starts a keeper; from now on what it keeps goes when we do. */
export async function startKeeper(host: Host, request: KeeperRequest, patience: Patience): Promise<Keeper> {
  const segment = keeperProgram(request.cleanup, { mapped: request.maps !== undefined });
  const bytes = encode(segment);
  const ports = bounded(host, patience);
  const undo = new Undo();
  try {
    const session = await ports.processes
      .spawn({ flags: request.flags, maps: request.maps })
      .catch((error: unknown) => {
        throw refused(error, { at: 'spawn', doing: 'start a keeper' });
      });
    undo.add(() => endSession(host, session, patience.deadlineMs));
    session.hold(false);
    await completeMaps(ports, session, request.maps);
    const channel = new Channel(host, session, patience);
    const progress = { segment, facts: undefined, handles: new Map<number, Handle>() };
    await deliver(host, channel, progress, channel.sendProgram(bytes, request.directories));
    const frame = await nextMilestone(channel, progress);
    if (frame === undefined) throw await died(host, channel, patience.deadlineMs);
    if (frame.kind !== 'sync' || frame.tag !== keeperTag) throw unexpected(frame, 'the keeper to be ready');
    await deliver(host, channel, progress, channel.go(keeperTag));

    let released: Promise<void> | undefined;
    const cleanUp = async (): Promise<void> => {
      session.hold(true);
      const prompt = new Channel(host, session, { deadlineMs: patience.deadlineMs });
      const patient = request.cleanup.trees.length > 0 ? new Channel(host, session, { deadlineMs: removalMs }) : prompt;
      try {
        await deliver(host, prompt, progress, prompt.go(0));
        const end = await nextMilestone(patient, progress);
        if (end?.kind !== 'done') throw new RuntsError('ERR_INTERNAL', 'the keeper ended before it had cleaned up');
      } finally {
        await undo.run();
      }
    };
    return {
      release() {
        released ??= cleanUp();
        return released;
      },
      dismiss() {
        released ??= (async () => {
          host.processes.signal(session.process, sigkill);
          await undo.run();
        })();
        return released;
      },
    };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}
