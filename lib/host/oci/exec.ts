import { RuntsError } from '../../errors.ts';
import type { Facts } from '../../plan/facts.ts';
import { tags } from '../../plan/plan.ts';
import type { Process, Spec } from '../../spec/types.ts';
import type { Cancel } from '../cancel.ts';
import type { CgroupRecord } from '../cgroups/cgroup.ts';
import { textIn } from '../cgroups/files.ts';
import { openCgroup } from '../cgroups/open.ts';
import { type Entering, type Executed, enter, letGo, untilReady } from '../exec.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import type { Stdio } from '../inputs.ts';
import { cgroupMounts, ownCgroup } from '../probe.ts';
import { enterGroups } from '../resctrl.ts';
import { Undo, withReleaseErrors } from '../undo.ts';
import type { Birthplace } from '../walk.ts';
import { deliverConsole, deliverPidfd, removePidFile, writePidFile } from './deliveries.ts';
import { hasHome, homeOf } from './home.ts';
import { deliverListener } from './notify.ts';
import { operation } from './operation.ts';
import { findProcess } from './process.ts';
import type { Record } from './record.ts';
import { stateOf, statusOf } from './state.ts';
import { load, openUnlocked, theRecord } from './store.ts';

export interface ExecRequest {
  readonly root: string;
  readonly id: string;
  /** What to execute, complete and checked; HOME is added where its environment has none. */
  readonly process: Process;
  readonly consoleSocket?: string | undefined;
  readonly pidFile?: string | undefined;
  readonly pidfdSocket?: string | undefined;
  readonly preserveFds: number;
  /** Whoever gets our children when we are gone waits for it: we leave its status alone. */
  readonly detached?: boolean | undefined;
  readonly noNewKeyring: boolean;
  /** Below the container's own cgroup, relative. */
  readonly cgroup?: string | undefined;
  /** A paused container is no error: the command runs when it is resumed. */
  readonly ignorePaused: boolean;
  readonly stdio?: Stdio | undefined;
  readonly warn?: ((message: string) => void) | undefined;
  /** Of its terminal, where no socket is named for it: lines end as the command ends them. */
  readonly plainOutput?: boolean | undefined;
  readonly cancel?: Cancel | undefined;
  readonly deadlineMs?: number | undefined;
}

export type { Executed } from '../exec.ts';

/** Runs one more command in a container, with all that its configuration says of confinement. */
export function exec(host: Host, facts: Facts, request: ExecRequest): Promise<Executed> {
  const work = (ports: Host) => begin(ports, facts, request);
  return operation(host, `exec in container ${request.id}`, work, request.deadlineMs);
}

async function begin(host: Host, facts: Facts, request: ExecRequest): Promise<Executed> {
  const entry = openUnlocked(request.root, request.id);
  const record = await theRecord(host, entry);
  const status = await statusOf(host, entry, record);
  if (status === 'paused' && !request.ignorePaused) {
    throw new RuntsError(
      'ERR_STATE',
      `cannot exec in a paused container (use --ignore-paused to override): ${request.id}`,
    );
  }
  if (!['created', 'running', 'paused'].includes(status)) {
    throw new RuntsError('ERR_STATE', `cannot exec in a container that is not running: ${request.id} is ${status}`);
  }
  const spec = (await load(host, entry, 'config.json')) as Spec;
  const first = await findProcess(host, record);
  if (first === undefined) throw new RuntsError('ERR_STATE', `container not running: ${request.id}`);
  const undo = new Undo();
  undo.add(() => first.close());
  try {
    const executed = await execute(host, facts, request, record, spec, undo);
    first.close();
    return executed;
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

async function execute(
  host: Host,
  facts: Facts,
  request: ExecRequest,
  record: Record,
  spec: Spec,
  undo: Undo,
): Promise<Executed> {
  const pid = record.process?.pid ?? 0;
  const process = await withHomeOf(host, request.process, record);
  const birthplace = await openBirthplace(host, record, request.cgroup, undo);
  const patience = { deadlineMs: request.deadlineMs, cancel: request.cancel };
  let pidOfCommand = () => pid;
  const beginning = enter(
    host,
    facts,
    {
      ...patience,
      id: record.id,
      spec,
      process,
      pid,
      cgroup: birthplace,
      stdio: () => request.stdio,
      ownStdio: false,
      plainOutput: request.plainOutput,
      preserveFds: request.preserveFds,
      newKeyring: !request.noNewKeyring,
      detached: request.detached,
      born: async ({ pid: ours }) => {
        const { intelRdt } = spec.linux;
        if (intelRdt !== undefined) await enterGroups(host, intelRdt, record.id, ours);
      },
      opened: () => mustStillRun(host, record),
      arrived: (tag, handle) => notified(host, tag, handle, { record, spec, pid: pidOfCommand(), warn: request.warn }),
    },
    undo,
  );
  const named = request.cgroup !== undefined && birthplace !== undefined;
  const entering = await (named ? adding(birthplace.path, beginning) : beginning);
  pidOfCommand = () => entering.session.pid;
  await untilReady(host, entering, patience);
  return finish(host, request, entering, undo);
}

/** At the last sync point: who waits for descriptors and numbers gets them, then the command is executed. */
async function finish(
  host: Host,
  { consoleSocket, pidFile, pidfdSocket }: ExecRequest,
  entering: Entering,
  undo: Undo,
): Promise<Executed> {
  const { session, handles } = entering;
  const master = handles.get(tags.console);
  if (master !== undefined && consoleSocket !== undefined) {
    await deliverConsole(host, consoleSocket, master);
    master.close();
    handles.delete(tags.console);
  }
  if (pidfdSocket !== undefined) await deliverPidfd(host, pidfdSocket, session.process);
  if (pidFile !== undefined) {
    undo.add(() => removePidFile(host, pidFile, session.pid));
    await writePidFile(host, pidFile, session.pid);
  }
  return letGo(host, entering, undo);
}

/** If it is there still, nobody else has had its number meanwhile; to hold a descriptor of it does not keep that. */
async function mustStillRun(host: Host, record: Record): Promise<void> {
  const process = await findProcess(host, record);
  if (process === undefined) throw new RuntsError('ERR_STATE', `container not running: ${record.id}`);
  process.close();
}

async function withHomeOf(host: Host, process: Process, { rootfs }: Record): Promise<Process> {
  const { env = [] } = process;
  if (hasHome(env)) return process;
  return { ...process, env: [...env, `HOME=${await homeOf(host, rootfs, process.user.uid)}`] };
}

async function openBirthplace(
  host: Host,
  { cgroup: record, id, process }: Record,
  below: string | undefined,
  undo: Undo,
): Promise<Birthplace | undefined> {
  if (record === undefined) {
    if (below === undefined || below === '') return undefined;
    throw new RuntsError('ERR_UNSUPPORTED', `cannot exec in the cgroup ${below}: container ${id} has none of its own`);
  }
  const path =
    below === undefined ? await ofFirstProcess(host, record, process?.pid ?? 0) : belowCgroup(record.path, below);
  const cgroup = openCgroup(host, { ...record, path });
  const handle = await (below === undefined ? cgroup.open() : adding(path, cgroup.open()));
  undo.add(() => handle.close());
  return { path, handle, enter: (pid) => cgroup.enter(pid) };
}

/**
 * The container's cgroup, or where its first process is now: an init system in a container moves itself to a cgroup below, and
 * gives that of the container children with controllers, after which it takes no processes any more.
 */
async function ofFirstProcess(host: Host, { path }: CgroupRecord, pid: number): Promise<string> {
  if (((await textIn(host, path, 'cgroup.subtree_control').catch(() => undefined)) ?? '').trim() === '') return path;
  const [membership, mounts] = await Promise.all([
    host.files.read(`/proc/${pid}/cgroup`),
    host.files.read('/proc/self/mountinfo'),
  ]);
  const now = ownCgroup(membership, cgroupMounts(mounts));
  return now?.startsWith(`${path}/`) ? now : path;
}

/** Why a process cannot be in a cgroup that was named, in words that callers of runtimes know. */
const unfit: Readonly<globalThis.Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EBUSY: 'device or resource busy',
};

async function adding<T>(path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const why = unfit[errnoOf((error as { readonly cause?: unknown }).cause) ?? ''];
    if (why === undefined) throw error;
    throw new RuntsError('ERR_SETUP', `error adding pid of the command to cgroups: ${path}: ${why}`, {
      hint: 'It must exist, and must give no controllers to cgroups below it.',
      cause: error,
    });
  }
}

/** Below by its letters; whether it is there, too, is looked at when it is opened (`CgroupFiles`). */
function belowCgroup(path: string, below: string): string {
  const parts = below.split('/').filter((part) => part !== '' && part !== '.');
  if (!parts.includes('..')) return [path, ...parts].join('/');
  throw new RuntsError(
    'ERR_SPEC',
    `bad sub cgroup path ${JSON.stringify(below)}: it is not below the cgroup of the container`,
    {
      hint: 'Name one that exists below it, without "..".',
    },
  );
}

async function notified(
  host: Host,
  tag: number,
  listener: Handle,
  {
    record,
    spec,
    pid,
    warn,
  }: { record: Record; spec: Spec; pid: number; warn?: ((message: string) => void) | undefined },
): Promise<void> {
  if (tag !== tags.notify || spec.linux.seccomp === undefined) return;
  const state = stateOf(record, 'running');
  await deliverListener(host, spec.linux.seccomp, { state, pid, warn: warn ?? (() => undefined) }, listener);
}
