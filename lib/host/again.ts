import { type Plan, tags } from '../plan/plan.ts';
import { encoded } from '../program/encoded.ts';
import { goMessage, segmentMessages } from '../program/frames.ts';
import { bytesHoles } from '../spec/holes.ts';
import { boundedSpawn, type Patience } from './bounded.ts';
import type { Exit, Host, Look, Places, Session } from './host.ts';
import { type Given, type GivenSources, givenInputs, givenOrder } from './inputs.ts';
import { exitOfStatus, wholeExit } from './start.ts';
import { areWritten, briefMs, stopsOnlyToStart } from './walk.ts';

/** All that it takes to make a container once more, as the last one but for its id, and to start it at once. */
export interface Again {
  readonly plan: Plan;
  /** With the word to start. */
  readonly messages: readonly Uint8Array[];
  /** Where the id is in the first. */
  readonly places: Places;
  /** What goes with it. */
  readonly order: readonly Given[];
  /** What the plan was made from. */
  readonly looks: readonly Look[];
}

const go = goMessage(tags.start);

/** Undefined for a plan of which anything is not in its one message, or is to be done by the host. */
export function againOf(plan: Plan, id: string, looks: readonly Look[]): Again | undefined {
  const { cgroup, netDevices, intelRdt, outlives } = plan;
  const isAlone = cgroup === undefined && areWritten(plan) && outlives !== true;
  if (!isAlone || netDevices !== undefined || intelRdt !== undefined || !stopsOnlyToStart(plan)) return undefined;
  const [message, ...others] = segmentMessages(encoded(plan.segment));
  if (message === undefined || others.length > 0) return undefined;
  const order = givenOrder(plan);
  return (
    order && { plan, messages: [message, go], places: Uint32Array.from(bytesHoles(message, id).flat()), order, looks }
  );
}

/**
 * A session with the init of such a container. Undefined where there is none: something is not as it was, or the host refuses, and
 * whoever makes it in the ordinary way hears why.
 */
export async function spawnAgain(
  host: Host,
  { plan, messages, places, order, looks }: Again,
  { id, sources }: { readonly id: string; readonly sources: GivenSources },
  patience: Patience,
): Promise<Session | undefined> {
  const errand = {
    messages,
    handles: givenInputs(order, sources),
    fill: { text: id, places },
  };
  try {
    return await boundedSpawn(host, { flags: plan.flags, maps: plan.maps, stayMs: briefMs, looks, errand }, patience);
  } catch {
    return undefined;
  }
}

/** How a command has ended that is over; undefined where it is not, or anything of it was not as usual. */
export function usualEnd({ over }: Session, { reaps }: Pick<Plan, 'reaps'>): Exit | undefined {
  if (over === undefined) return undefined;
  const { exit, frames = [] } = over;
  // Each by its number: a list that is taken apart by a pattern takes longer than all of this.
  const waited = frames[0];
  if (waited?.kind !== 'sync' || waited.tag !== tags.start || frames.length !== (reaps ? 3 : 1)) return undefined;
  if (!reaps) return wholeExit(exit);
  const last = frames[2];
  return frames[1]?.kind === 'started' && last?.kind === 'exit' ? exitOfStatus(last.status) : undefined;
}
