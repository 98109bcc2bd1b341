import { RuntsError } from '../../errors.ts';
import { type ContainerRequest, planContainer } from '../../plan/container.ts';
import type { Facts } from '../../plan/facts.ts';
import { type Plan, tags } from '../../plan/plan.ts';
import { encodeUtf8 } from '../../program/utf8.ts';
import type { Spec } from '../../spec/types.ts';
import { bounded } from '../bounded.ts';
import { type Cancel, type Interruptible, throwIfCanceled } from '../cancel.ts';
import type { CgroupRecord } from '../cgroups/cgroup.ts';
import { errnoOf, refused } from '../failure.ts';
import type { Exit, Handle, Host, Session } from '../host.ts';
import type { Stdio } from '../inputs.ts';
import { lookUp } from '../lookups.ts';
import { closeHandles } from '../program.ts';
import { deliver } from '../progress.ts';
import { intendGroups, joinGroup, removeGroups } from '../resctrl.ts';
import { usableRoot } from '../rootfs.ts';
import { frameDeadlineMs } from '../session.ts';
import { Undo, withReleaseErrors } from '../undo.ts';
import { type Answers, beginWalk, type Walk, walkTo, writeLater } from '../walk.ts';
import { type Placed, placeContainer } from './cgroup.ts';
import { deliverConsole, deliverPidfd, removePidFile, writePidFile } from './deliveries.ts';
import { withHome } from './home.ts';
import { runHooks, runLateHooks, stateText } from './hooks.ts';
import { moveNetDevices } from './network.ts';
import { operation } from './operation.ts';
import { identify } from './process.ts';
import { keepProgram } from './program.ts';
import type { Record } from './record.ts';
import type { Waiting } from './start.ts';
import { startSocket, stateOf } from './state.ts';
import { claim, discard, type Entry, save, saveRecord } from './store.ts';

export type CgroupManager = 'cgroupfs' | 'systemd' | 'disabled';

export interface CreateRequest {
  /** Absolute: below it is a directory for each container. */
  readonly root: string;
  readonly id: string;
  /** Absolute. */
  readonly bundle: string;
  /** Its configuration, checked. */
  readonly spec: Spec;
  /** Who made it, as `list` shows it. */
  readonly owner: string;
  /** Where the other end of its terminal goes; without one, to whoever called us (`Made.console`). */
  readonly consoleSocket?: string | undefined;
  readonly pidFile?: string | undefined;
  readonly pidfdSocket?: string | undefined;
  /** Descriptors 3 … that the command gets beside the standard ones. */
  readonly preserveFds: number;
  /** Whoever gets our children when we are gone waits for it: we leave its status alone. */
  readonly detached?: boolean | undefined;
  /** It is started by us, at once: its lock stays ours until then. */
  readonly starts?: boolean | undefined;
  readonly noPivot: boolean;
  readonly noNewKeyring: boolean;
  readonly cgroupManager: CgroupManager;
  readonly stdio?: Stdio | undefined;
  /** Of its terminal, where no socket is named for it: lines end as the command ends them. */
  readonly plainOutput?: boolean | undefined;
  readonly warn: (message: string) => void;
  readonly cancel?: Cancel | undefined;
  /** For the hooks that follow a create that failed or was canceled. */
  readonly interruptible?: Interruptible | undefined;
  readonly deadlineMs?: number | undefined;
}

/** A container that waits to be started, by us or by somebody else. */
export interface Made {
  /** Its lock is held by us where we are to start it. */
  readonly waiting: Waiting;
  readonly pid: number;
  /** How its first process ended, as long as it is our child. */
  readonly exit: Promise<Exit>;
  /** The other end of its terminal, where no socket was named for it; ours to close. */
  readonly console: Handle | undefined;
  /** Lets go of it: it lives on without us. */
  release(): void;
}

/** Makes a container up to the point where it waits to be started. What fails on the way leaves nothing behind. */
export function create(host: Host, facts: Facts, request: CreateRequest): Promise<Made> {
  const { deadlineMs = frameDeadlineMs } = request;
  const work = (ports: Host) => make(ports, host, facts, { ...request, deadlineMs });
  return operation(host, `create container ${request.id}`, work, deadlineMs);
}

async function make(host: Host, raw: Host, facts: Facts, request: Omit<MakingRequest, 'configuration'>): Promise<Made> {
  const { cancel } = request;
  throwIfCanceled(cancel, 'making a container');
  await mustSignal(host);
  const rootfs = await rootOf(host, request.spec, request.bundle);
  const spec = await withHome(host, request.spec, rootfs);
  const lookups = await lookUp(host, spec, request.bundle);
  const plan = planContainer({ ...containerRequest({ ...request, spec }, rootfs), lookups }, facts);
  for (const { message } of plan.warnings ?? []) request.warn(message);
  const entry = await claim(host, request.root, request.id);
  const undo = new Undo();
  undo.add(() => entry.close());
  undo.add(() => discard(host, entry));
  try {
    const record = newRecord(host, request, spec, rootfs);
    const configuration = request.spec;
    const made = await new Making(host, raw, facts, { ...request, spec, configuration }, entry, plan, undo).run(record);
    if (request.starts !== true) entry.close();
    return made;
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Where processes cannot be held and signalled by a pidfd, what is made here could not be removed: it is not made then. */
async function mustSignal(host: Host): Promise<void> {
  const pid = Number((await host.files.readLink('/proc/self').catch(() => undefined)) ?? 0);
  if (!Number.isInteger(pid) || pid < 1) return;
  try {
    const ourselves = await host.processes.find(pid);
    if (ourselves === undefined) return;
    try {
      host.processes.signal(ourselves, 0);
    } finally {
      ourselves.close();
    }
  } catch (error) {
    const syscall = (error as { readonly syscall?: unknown }).syscall ?? 'pidfd_open or pidfd_send_signal';
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      `cannot make a container here: ${errnoOf(error) ?? ''} in ${String(syscall)}`,
      {
        hint: 'Containers are ended by pidfds (Linux 5.3). The seccomp profile of the container that you are in may hide these calls: let it have them.',
        cause: error,
      },
    );
  }
}

function rootOf(host: Host, { root }: Spec, bundle: string): Promise<string> {
  const path = root.path.startsWith('/') ? root.path : `${bundle}/${root.path}`;
  return usableRoot(host, path, 'rootfs', '/root/path');
}

function containerRequest(request: CreateRequest, rootfs: string): ContainerRequest {
  const { spec, id, bundle } = request;
  return {
    id,
    spec,
    bundle,
    root: { kind: 'directory', path: rootfs },
    reap: false,
    stdio: spec.process?.terminal === true ? 'terminal' : 'pipes',
    ownStdio: false,
    oci: true,
    start: startOf(request),
    preserveFds: request.preserveFds,
    plainOutput: request.plainOutput,
    noPivot: request.noPivot,
    newKeyring: !request.noNewKeyring,
    cgroupDriver: request.cgroupManager,
  };
}

/**
 * Whoever made it starts it over the channel, which is there: but for hooks of the start, which are given the state with the word
 * to go on, by which a container is started that others made.
 */
const startOf = ({ starts, spec: { hooks } }: CreateRequest): 'late' | 'socket' =>
  starts === true && !hooks?.startContainer?.length ? 'late' : 'socket';

function newRecord(host: Host, request: CreateRequest, spec: Spec, rootfs: string): Record {
  const { id, bundle, owner, pidFile } = request;
  const created = new Date(host.clock.now()).toISOString().replace('Z', '000000Z');
  const annotations = spec.annotations ?? {};
  const { ociVersion } = spec;
  return {
    version: 1,
    id,
    ociVersion,
    bundle,
    rootfs,
    created,
    owner,
    annotations,
    phase: 'creating',
    started: false,
    pidFile,
  };
}

type MakingRequest = CreateRequest & {
  readonly deadlineMs: number;
  /** As it was given. */
  readonly configuration: Spec;
};

/** The steps of one create. What outlives us is on disk before it is made. */
class Making {
  readonly #host: Host;
  /** Without deadlines: hooks have the time that their configuration gives them. */
  readonly #raw: Host;
  readonly #facts: Facts;
  readonly #request: MakingRequest;
  readonly #entry: Entry;
  readonly #plan: Plan;
  readonly #undo: Undo;
  readonly #handles = new Map<number, Handle>();

  constructor(host: Host, raw: Host, facts: Facts, request: MakingRequest, entry: Entry, plan: Plan, undo: Undo) {
    this.#host = host;
    this.#raw = raw;
    this.#facts = facts;
    this.#request = request;
    this.#entry = entry;
    this.#plan = plan;
    this.#undo = undo;
  }

  async run(first: Record): Promise<Made> {
    const { deadlineMs, cancel, stdio, spec, warn, interruptible } = this.#request;
    const patience = { deadlineMs, cancel };
    const host = bounded(this.#host, patience);
    this.#undo.add(() => closeHandles(this.#handles));
    const steady = this.#host;
    let record = await this.#intendRdt(host, steady, first);
    const intend = (cgroup: CgroupRecord) => {
      record = { ...record, cgroup };
      return this.#save(record);
    };
    const placed = await placeContainer(host, steady, this.#plan.cgroup, intend);
    this.#undo.add(() => placed.release());
    const listener = await this.#listen(host);
    // They follow the end of the process, also where a create fails after it began.
    this.#undo.add(async () => {
      if (record.process === undefined) return;
      await runLateHooks(this.#raw, 'poststop', spec.hooks, stateOf(record, 'stopped'), { warn, interruptible });
    });
    try {
      const walk = await beginWalk(
        this.#host,
        {
          plan: this.#plan,
          options: { deadlineMs, signal: cancel, facts: this.#facts },
          sources: { stdio, listener },
          cgroup: placed.birthplace,
          detached: this.#request.detached,
          handles: this.#handles,
          born: async (session) => {
            record = await this.#born(session, placed, record);
          },
        },
        this.#undo,
      );
      await this.#keep(host, placed, record);
      const answers = this.#answers(record);
      await walkTo(this.#host, walk, listener === undefined ? tags.start : tags.created, answers, patience);
      return await this.#finish(walk, placed, record);
    } finally {
      listener?.close();
    }
  }

  /** Where whoever starts it reaches it, if that is not us. */
  async #listen(host: Host): Promise<Handle | undefined> {
    if (startOf(this.#request) !== 'socket') return undefined;
    const path = startSocket(this.#entry);
    return host.sockets.listen(path).catch((error: unknown) => {
      throw refused(error, { at: 'state', doing: `listen at ${path}` });
    });
  }

  #save(record: Record): Promise<void> {
    return saveRecord(this.#host, this.#entry, record);
  }

  /** What others are to know, while the init is at work: the hooks that they are told of run no sooner. */
  async #keep(host: Host, placed: Placed, record: Record): Promise<void> {
    // From now on whoever finds the record finds the process. Before, it ends with us: its channel does.
    await this.#save(record);
    // Without what was found out for its first process: HOME is another one's for another user.
    await save(host, this.#entry, 'config.json', this.#request.configuration);
    await keepProgram(host, this.#entry, this.#plan.segment, placed.record);
  }

  /** Before it has its program. */
  async #born(session: Session, placed: Placed, record: Record): Promise<Record> {
    const born = { ...record, cgroup: placed.record, process: await identify(this.#host, session.pid) };
    await placed.adopt(session.pid);
    const { intelRdt } = this.#plan;
    if (intelRdt !== undefined) await joinGroup(this.#host, intelRdt, this.#request.id, session.pid);
    return born;
  }

  /** Cache and memory bandwidth: groups of resctrl, which outlive the processes in them. */
  async #intendRdt(host: Host, steady: Host, record: Record): Promise<Record> {
    const { intelRdt } = this.#plan;
    if (intelRdt === undefined) return record;
    const made = await intendGroups(host, intelRdt, this.#request.id);
    this.#undo.add(() => removeGroups(steady, made));
    const intended = { ...record, intelRdt: made };
    await this.#save(intended);
    return intended;
  }

  #answers(record: Record): Answers {
    const { spec, cancel } = this.#request;
    const host = this.#host;
    const plan = this.#plan;
    const state = ({ pid }: Session) => ({ ...stateOf(record, 'creating'), pid });
    return new Map<number, (session: Session) => Promise<Handle | undefined>>([
      [tags.maps, writeLater(host, plan)],
      [
        tags.network,
        async ({ pid }) => {
          await moveNetDevices(host, plan, pid, this.#facts, { deadlineMs: this.#request.deadlineMs });
          return undefined;
        },
      ],
      [
        tags.hooks,
        async (session) => {
          await runHooks(this.#raw, 'prestart', spec.hooks, state(session), cancel);
          await runHooks(this.#raw, 'createRuntime', spec.hooks, state(session), cancel);
          return undefined;
        },
      ],
      [tags.state, async (session) => host.kernel.blob(encodeUtf8(stateText(state(session), 'creating')))],
    ]);
  }

  /** All is made: hands out what others wait for, and lets go of the init. */
  async #finish(walk: Walk, placed: Placed, record: Record): Promise<Made> {
    const { consoleSocket, pidFile, pidfdSocket, deadlineMs, cancel } = this.#request;
    const host = bounded(this.#host, { deadlineMs, cancel });
    const { session, channel, progress } = walk;
    const master = this.#handles.get(tags.console);
    if (master !== undefined && consoleSocket !== undefined) await deliverConsole(host, consoleSocket, master);
    if (pidfdSocket !== undefined) await deliverPidfd(host, pidfdSocket, session.process);
    // It may be another one: who joins a PID namespace forks.
    const process = record.process?.pid === session.pid ? record.process : await identify(host, session.pid);
    if (process === undefined) throw new RuntsError('ERR_SETUP', 'the container ended before it was made');
    const ours = startOf(this.#request) === 'late';
    const created: Record = { ...record, process, phase: 'created', started: ours };
    if (pidFile !== undefined) {
      this.#undo.add(() => removePidFile(host, pidFile, session.pid));
      await writePidFile(host, pidFile, session.pid);
    }
    throwIfCanceled(cancel, 'making a container');
    await this.#save(created);
    if (!ours) await deliver(host, channel, progress, channel.go(tags.created));
    this.#undo.dismiss();
    placed.close();
    const attached = consoleSocket === undefined ? master : undefined;
    if (attached === undefined) closeHandles(this.#handles);
    return {
      pid: session.pid,
      waiting: {
        entry: this.#entry,
        record: created,
        spec: this.#request.spec,
        segment: this.#plan.segment,
        process: session.process,
        session: ours ? session : undefined,
      },
      exit: session.exit,
      console: attached,
      release: () => {
        this.#entry.close();
        session.hold(false);
        session.close();
        session.process.close();
      },
    };
  }
}
