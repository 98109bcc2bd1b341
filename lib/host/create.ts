import { RuntsError } from '../errors.ts';
import { type CgroupPlan, type Plan, tags } from '../plan/plan.ts';
import { bounded, type Patience } from './bounded.ts';
import { throwIfCanceled } from './cancel.ts';
import { type AppliedCgroup, applyCgroup } from './cgroup.ts';
import { stateOf } from './cgroups/files.ts';
import { intendCgroup } from './cgroups/make.ts';
import { refused } from './failure.ts';
import type { Handle, Host, Session } from './host.ts';
import type { Outliving, Stdio } from './inputs.ts';
import { type Kept, keep } from './keepers.ts';
import { closeHandles } from './program.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { beginWalk, stopsOnlyToStart, type WalkOptions, walkTo, writeLater } from './walk.ts';

export interface CreateOptions extends Partial<WalkOptions> {
  readonly stdio?: Stdio | undefined;
  /** For a plan by which the mounts of the host are left at once. */
  readonly emptyMounts?: Handle | undefined;
  /** For a plan whose process 1 outlives us. */
  readonly outliving?: Outliving | undefined;
  /** It is started as soon as it can be: `start` follows, and nobody looks at the container before. */
  readonly ahead?: boolean | undefined;
  /** Somebody writes to its command as soon as it is made. */
  readonly fed?: boolean | undefined;
}

/** A container that waits at its last sync point for `start`. */
export interface Created {
  readonly host: Host;
  readonly plan: Plan;
  readonly session: Session;
  /** What the init sent, by tag: the console. Closed with the container. */
  readonly handles: Map<number, Handle>;
  readonly cgroup: AppliedCgroup | undefined;
  /**
   * Removes the cgroup, if nothing is in it any more: with who keeps it, it costs a process. Asks once, and not where all is
   * released anyway. Never rejects.
   */
  readonly dropCgroup: () => Promise<void>;
  /** Of one that outlives us, and runs: nothing of it is ours to release any more. */
  readonly letGo: () => Promise<void>;
  readonly options: CreateOptions & { readonly deadlineMs: number };
  /** It does not wait for `start` to let it go on. */
  readonly goesOn: boolean;
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
  const leaving = new Undo();
  const cgroups = new Undo();
  let dropping: Promise<void> | undefined;
  undo.add(async () => {
    await dropping;
    const [first, ...others] = await cgroups.run();
    if (first !== undefined) throw withReleaseErrors(first, others);
  });
  const patience = { deadlineMs, cancel };
  const ports = bounded(host, patience);
  const steady = bounded(host, { deadlineMs });
  try {
    throwIfCanceled(cancel, 'making a container');
    const { cgroup, kept } = plan.cgroup ? await makeKept(host, plan.cgroup, patience, cgroups) : nothing;
    const goesOn = given.ahead === true && stopsOnlyToStart(plan);
    const request = {
      plan,
      options,
      ahead: goesOn,
      fed: given.fed,
      sources: {
        stdio: given.stdio,
        emptyMounts: given.emptyMounts,
        outliving: given.outliving,
        servers,
        leaving,
      },
      cgroup,
      handles,
    };
    const walk = await beginWalk(host, request, undo);
    const answers = new Map([[tags.maps, writeLater(ports, plan)]]);
    await walkTo(host, walk, tags.start, answers, patience);
    const { session } = walk;
    throwIfCanceled(cancel, 'making a container');
    const drop = async (): Promise<void> => {
      if (cgroup !== undefined && !undo.begun && (await isEmpty(steady, cgroup.path))) await cgroups.run();
    };
    const dropCgroup = () => (dropping ??= drop());
    const letGo = async (): Promise<void> => {
      undo.dismiss();
      // Its end is heard of as long as we are there, and does not hold us.
      session.hold(false);
      session.close();
      void session.exit.then(() => session.process.close());
      await leaving.run();
      await kept?.dismiss();
      cgroup?.handle?.close();
    };
    return { host, plan, session, handles, cgroup, dropCgroup, letGo, options, goesOn, undo };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

const isEmpty = (host: Host, path: string): Promise<boolean> =>
  stateOf(host, path).then(
    (state) => state?.populated !== true,
    () => false,
  );

interface KeptCgroup {
  readonly cgroup?: AppliedCgroup | undefined;
  readonly kept?: Kept | undefined;
}

const nothing: KeptCgroup = {};

/** The cgroup of a container, and who removes its directory when we are killed: where that can be, from before it is made. */
async function makeKept(host: Host, plan: CgroupPlan, patience: Patience, undo: Undo): Promise<KeptCgroup> {
  const ports = bounded(host, patience);
  const record = await unlessSpare(plan, intendCgroup(ports, plan));
  if (record === undefined) return nothing;
  const { made, path } = record;
  // systemd has an eye on what it makes; and above what is not there yet, there is nothing that a keeper could hold.
  const isAhead = plan.unit === undefined && made.length === 1;
  const early = isAhead ? await keepCgroup(host, path, patience) : undefined;
  const steady = bounded(host, { deadlineMs: patience.deadlineMs });
  const cgroup = await unlessSpare(plan, applyCgroup(ports, plan, record, steady)).catch(async (error: unknown) => {
    // What was made is gone again, and what is there by now is of others.
    await early?.dismiss();
    throw error;
  });
  if (cgroup === undefined) {
    await early?.dismiss();
    return nothing;
  }
  const undoing = { kept: early };
  undo.add(async () => {
    await cgroup.remove();
    await undoing.kept?.dismiss();
  });
  undoing.kept ??= await keepCgroup(host, cgroup.path, patience);
  return { cgroup, kept: undoing.kept };
}

/** Undefined where it fails for a cgroup that nobody has asked for. */
async function unlessSpare<T>(plan: CgroupPlan, attempt: Promise<T>): Promise<T | undefined> {
  try {
    return await attempt;
  } catch (error) {
    if (plan.spare !== true || isOurs(error)) throw error;
    return undefined;
  }
}

/** Of somebody who gave up, or a host that does not answer: not a cgroup that cannot be made. */
const isOurs = (error: unknown) => RuntsError.is(error) && ['ERR_CANCELED', 'ERR_TIMEOUT'].includes(error.code);

/** The kernel ends the processes of a container whose owner was killed; the directory of its cgroup wants a keeper. */
async function keepCgroup(host: Host, path: string, patience: Patience): Promise<Kept> {
  const above = path.slice(0, path.lastIndexOf('/'));
  const parent = await bounded(host, patience)
    .cgroups.open(above, 'directory')
    .catch((error: unknown) => {
      throw refused(error, { at: 'cgroup', doing: `open the cgroup ${above}` });
    });
  try {
    const removal = { what: 'cgroup', directory: parent, name: path.slice(above.length + 1) } as const;
    return await keep(host, { removals: [removal] }, patience);
  } finally {
    parent.close();
  }
}
