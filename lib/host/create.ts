import { type CgroupPlan, type Plan, tags } from '../plan/plan.ts';
import { bounded, type Patience } from './bounded.ts';
import { throwIfCanceled } from './cancel.ts';
import { type AppliedCgroup, applyCgroup } from './cgroup.ts';
import { refused } from './failure.ts';
import type { Handle, Host, Session } from './host.ts';
import type { Stdio } from './inputs.ts';
import { startKeeper } from './keeper.ts';
import { closeHandles } from './program.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { beginWalk, type WalkOptions, walkTo, writeLater } from './walk.ts';

export interface CreateOptions extends Partial<WalkOptions> {
  readonly stdio?: Stdio | undefined;
}

/** A container that waits at its last sync point for `start`. */
export interface Created {
  readonly host: Host;
  readonly plan: Plan;
  readonly session: Session;
  /** What the init sent, by tag: the console. Closed with the container. */
  readonly handles: Map<number, Handle>;
  readonly cgroup: AppliedCgroup | undefined;
  readonly options: CreateOptions & { readonly deadlineMs: number };
  /** Ends and releases everything; `remove` runs it. */
  readonly undo: Undo;
}

/** Walks a plan up to its start point. Whatever fails, or is canceled, on the way leaves nothing behind. */
export async function createContainer(host: Host, plan: Plan, given: CreateOptions = {}): Promise<Created> {
  const { deadlineMs = frameDeadlineMs, signal: cancel } = given;
  const options = { ...given, deadlineMs };
  const handles = new Map<number, Handle>();
  const undo = new Undo();
  undo.add(() => closeHandles(handles));
  // After the container itself, whose files they serve.
  const servers = new Undo();
  undo.add(() => servers.run());
  const patience = { deadlineMs, cancel };
  const ports = bounded(host, patience);
  const steady = bounded(host, { deadlineMs });
  try {
    throwIfCanceled(cancel, 'making a container');
    const cgroup = plan.cgroup && (await makeCgroup(ports, plan.cgroup, steady, undo));
    if (cgroup !== undefined) await keepCgroup(host, cgroup.path, patience, undo);
    const request = { plan, options, sources: { stdio: given.stdio, servers }, cgroup, handles };
    const walk = await beginWalk(host, request, undo);
    const answers = new Map([[tags.maps, writeLater(ports, plan)]]);
    await walkTo(host, walk, tags.start, answers, patience);
    const { session } = walk;
    throwIfCanceled(cancel, 'making a container');
    return { host, plan, session, handles, cgroup, options, undo };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

async function makeCgroup(ports: Host, plan: CgroupPlan, steady: Host, undo: Undo): Promise<AppliedCgroup> {
  const cgroup = await applyCgroup(ports, plan, steady);
  undo.add(() => cgroup.remove());
  return cgroup;
}

/** The kernel ends the processes of a container whose owner was killed; the directory of its cgroup wants a keeper. */
async function keepCgroup(host: Host, path: string, patience: Patience, undo: Undo): Promise<void> {
  const slash = path.lastIndexOf('/');
  const above = path.slice(0, slash);
  const parent = await bounded(host, patience)
    .files.open(above, 'directory')
    .catch((error: unknown) => {
      throw refused(error, { at: 'cgroup', doing: `open the cgroup ${above}` });
    });
  try {
    const cleanup = { trees: [], cgroups: [{ directory: 0, name: path.slice(slash + 1) }] };
    const keeper = await startKeeper(host, { cleanup, directories: [parent], flags: 0 }, patience);
    undo.add(() => keeper.release());
  } finally {
    parent.close();
  }
}
