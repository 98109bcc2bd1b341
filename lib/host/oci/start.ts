import { RuntsError } from '../../errors.ts';
import { type Segment, tags } from '../../plan/plan.ts';
import { encodeUtf8 } from '../../program/utf8.ts';
import type { Spec } from '../../spec/types.ts';
import type { Interruptible } from '../cancel.ts';
import { errnoOf, refused } from '../failure.ts';
import type { Handle, Host, Session } from '../host.ts';
import { closeHandles } from '../program.ts';
import { deliver, nextMilestone, type Progress, unexpected } from '../progress.ts';
import { Channel } from '../session.ts';
import { withReleaseErrors } from '../undo.ts';
import { endProcesses } from './end.ts';
import { runHooks, stateText } from './hooks.ts';
import { deliverListener } from './notify.ts';
import { operation } from './operation.ts';
import { findProcess } from './process.ts';
import { keptProgram } from './program.ts';
import type { Record } from './record.ts';
import { startSocket, stateOf, statusOf } from './state.ts';
import { type Entry, load, openLocked, saveRecord, theRecord } from './store.ts';

export interface StartOptions {
  readonly warn: (message: string) => void;
  /** For its poststart hooks. */
  readonly interruptible?: Interruptible | undefined;
  readonly deadlineMs?: number | undefined;
}

/** A container that waits to be started, and what has to be known of it; whoever starts it holds its lock. */
export interface Waiting {
  readonly entry: Entry;
  readonly record: Record;
  readonly spec: Spec;
  readonly segment: Segment;
  /** Its first process. */
  readonly process: Handle;
  /** The channel over which it waits; it stays the caller's to close. Absent where it waits at its socket. */
  readonly session?: Session | undefined;
}

/**
 * Lets a created container execute its command, and waits until it has. A command that cannot be executed is an error, and
 * the container has stopped then; a poststart hook that fails is one, too, and the container is removed.
 */
export function start(host: Host, root: string, id: string, options: StartOptions): Promise<void> {
  return operation(host, doing(id), (ports) => find(host, ports, root, id, options), options.deadlineMs);
}

/** The same by who has made it, and holds its lock since: nothing has to be read again. */
export async function startMade(host: Host, waiting: Waiting, options: StartOptions): Promise<void> {
  const { entry } = waiting;
  try {
    await operation(host, doing(entry.id), (ports) => begin(host, ports, waiting, options), options.deadlineMs);
  } finally {
    entry.close();
  }
}

const doing = (id: string): string => `start container ${id}`;

async function find(host: Host, ports: Host, root: string, id: string, options: StartOptions): Promise<void> {
  const entry = await openLocked(ports, root, id);
  try {
    const record = await theRecord(ports, entry);
    await mustBeCreated(ports, entry, record);
    const spec = (await load(ports, entry, 'config.json')) as Spec;
    const process = await findProcess(ports, record);
    if (process === undefined) throw new RuntsError('ERR_STATE', `cannot start a container that has stopped: ${id}`);
    try {
      await begin(host, ports, { entry, record, spec, segment: await keptProgram(ports, entry), process }, options);
    } finally {
      process.close();
    }
  } finally {
    entry.close();
  }
}

async function begin(host: Host, ports: Host, waiting: Waiting, options: StartOptions): Promise<void> {
  const { entry, record, spec } = waiting;
  await execute(ports, waiting, options);
  const started = { ...record, started: true };
  if (!record.started) await saveRecord(ports, entry, started);
  // Hooks have the time that their configuration gives them.
  await poststart(host, spec, started, options).catch(async (error: unknown) => {
    throw withReleaseErrors(error, await problems(endProcesses(ports, started)));
  });
}

async function poststart(host: Host, { hooks }: Spec, record: Record, options: StartOptions): Promise<void> {
  if (!hooks?.poststart?.length) return;
  const { interruptible = (work) => work() } = options;
  await interruptible((cancel) => runHooks(host, 'poststart', hooks, stateOf(record, 'running'), cancel));
}

async function mustBeCreated(host: Host, entry: Entry, record: Record): Promise<void> {
  const status = await statusOf(host, entry, record);
  if (status === 'created') return;
  const why =
    status === 'stopped'
      ? 'cannot start a container that has stopped'
      : status === 'creating'
        ? 'cannot start a container that is not made yet'
        : 'cannot start an already running container';
  throw new RuntsError('ERR_STATE', `${why}: ${entry.id}`);
}

async function execute(host: Host, waiting: Waiting, { deadlineMs, warn }: StartOptions): Promise<void> {
  const { record, spec, segment, process } = waiting;
  const handles = new Map<number, Handle>();
  try {
    const progress: Progress = {
      segment,
      handles,
      arrived: (tag, handle) => notified(host, tag, handle, record, spec, warn),
    };
    const session = waiting.session ?? (await reach(host, waiting));
    try {
      const channel = new Channel(host, session, { deadlineMs, last: `sync ${tags.start}` });
      if (waiting.session === undefined) await letGo(host, channel, progress, record, spec);
      else await deliver(host, channel, progress, channel.go(tags.start));
      await untilExecuted(channel, progress);
    } catch (error) {
      // Its init was killed; a hook that held it up is killed as well.
      if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT') throw error;
      throw withReleaseErrors(error, await problems(endProcesses(host, record)));
    } finally {
      if (session !== waiting.session) session.close();
    }
  } catch (error) {
    // It told why it ends, and ends: whoever is told so must not find it running.
    if (RuntsError.is(error) && error.failure !== undefined) await problems(host.processes.ended(process));
    throw error;
  } finally {
    closeHandles(handles);
  }
}

/** At its socket, where it listens until it is started. */
async function reach(host: Host, { entry, record, process }: Waiting): Promise<Session> {
  return host.processes.connect(startSocket(entry), record.process?.pid ?? 0, process).catch((error: unknown) => {
    if (errnoOf(error) === 'ECONNREFUSED')
      throw new RuntsError('ERR_STATE', `cannot start an already running container: ${entry.id}`);
    throw refused(error, { at: 'spawn', doing: `reach the init of container ${entry.id}` });
  });
}

/** The state goes with the word: hooks inside want it. Inside, the process is the first of its pid namespace. */
async function letGo(host: Host, channel: Channel, progress: Progress, record: Record, spec: Spec): Promise<void> {
  const frame = await nextMilestone(channel, progress);
  if (frame?.kind !== 'sync' || frame.tag !== tags.start) {
    throw frame === undefined
      ? new RuntsError('ERR_STATE', `the container ended before it was started: ${record.id}`)
      : unexpected(frame, 'the start point');
  }
  const first = spec.linux.namespaces.some(({ type, path }) => type === 'pid' && !path);
  const inside = { ...stateOf(record, 'created'), ...(first && { pid: 1 }) };
  const state = host.kernel.blob(encodeUtf8(stateText(inside, 'created')));
  try {
    await deliver(host, channel, progress, channel.go(tags.start, state));
  } finally {
    state.close();
  }
}

/** The channel ends when the command is executed. */
async function untilExecuted(channel: Channel, progress: Progress): Promise<void> {
  const frame = await nextMilestone(channel, progress);
  if (frame !== undefined) throw unexpected(frame, 'the execution of the command');
}

/** At once: the execution of the command itself may be waiting for whoever listens. */
async function notified(
  host: Host,
  tag: number,
  listener: Handle,
  record: Record,
  { linux }: Spec,
  warn: (message: string) => void,
): Promise<void> {
  if (tag !== tags.notify || linux.seccomp === undefined) return;
  // Agents are told of a container before its command runs: it is still being made, as other runtimes have it.
  const state = stateOf(record, 'creating');
  await deliverListener(host, linux.seccomp, { state, pid: state.pid, warn }, listener);
}

async function problems(work: Promise<unknown>): Promise<readonly unknown[]> {
  try {
    await work;
    return [];
  } catch (error) {
    return [error];
  }
}
