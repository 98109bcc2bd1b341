import { RuntsError } from '../errors.ts';
import { type Bound, type Cancel, throwIfCanceled, within } from './cancel.ts';
import type { CgroupFiles, Files, Host, Kernel, Processes, Session, Sockets, SpawnRequest } from './host.ts';
import { withPorts } from './ports.ts';
import { abandon, endErrand } from './session.ts';

export interface Patience {
  /** Of each single call. */
  readonly deadlineMs: number;
  readonly cancel?: Cancel | undefined;
}

/** How long a call under way may still take once everything is canceled, before it is abandoned. */
const graceMs = 1000;

/** A new init, by a deadline: one that comes too late is ended. */
export function boundedSpawn(host: Host, request: SpawnRequest, { deadlineMs, cancel }: Patience): Promise<Session> {
  const late = (session: Session) =>
    session.errand === true ? endErrand(host, session, deadlineMs) : abandon(host, session);
  const call = () => host.processes.spawn(request);
  return waitFor('cloning the init', call, { clock: host.clock, deadlineMs, cancel, late });
}

function waitFor<T>(
  doing: string,
  call: () => Promise<T>,
  { clock, deadlineMs, cancel, late }: Omit<Bound<T>, 'doing' | 'graceMs'>,
): Promise<T> {
  try {
    throwIfCanceled(cancel, doing);
    return within(call(), { clock, deadlineMs, cancel, doing, graceMs, late });
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * The same host, where every call ends by its deadline or soon after a cancellation: the one place that says so for the
 * whole conductor. What an abandoned call makes after all is released when it comes.
 */
export function bounded(host: Host, { deadlineMs, cancel }: Patience): Host {
  const { clock } = host;
  const wait = <T>(doing: string, call: () => Promise<T>, late?: (value: T) => unknown): Promise<T> =>
    waitFor(doing, call, { clock, deadlineMs, cancel, late });
  const close = (handle: { close(): void }) => handle.close();

  /** What ordinary files and those of cgroups have in common. */
  const common = (of: CgroupFiles): CgroupFiles => ({
    read: (path, how) => wait(`reading ${path}`, () => of.read(path, how)),
    write: (path, text) => wait(`writing ${path}`, () => of.write(path, text)),
    list: (path) => wait(`listing ${path}`, () => of.list(path)),
    kind: (path) => wait(`looking at ${path}`, () => of.kind(path)),
    makeDirectory: (path, mode) =>
      wait(
        `making ${path}`,
        () => of.makeDirectory(path, mode),
        () => of.removeDirectory(path),
      ),
    removeDirectory: (path) => wait(`removing ${path}`, () => of.removeDirectory(path)),
    open: (path, how) => wait(`opening ${path}`, () => of.open(path, how), close),
    setOwner: (path, uid, gid) => wait(`giving ${path} away`, () => of.setOwner(path, uid, gid)),
    watch: (path) => wait(`watching ${path}`, () => of.watch(path), close),
  });
  const boundedFiles = ({ files }: Host): Files => ({
    ...common(files),
    readBelow: (root, path, max) => wait(`reading ${path} below ${root}`, () => files.readBelow(root, path, max)),
    isStraight: (path) => wait(`looking at ${path}`, () => files.isStraight(path)),
    readLink: (path) => wait(`reading the link ${path}`, () => files.readLink(path)),
    replace: (path, text, mode) => wait(`replacing ${path}`, () => files.replace(path, text, mode)),
    canWrite: (path) => wait(`looking at ${path}`, () => files.canWrite(path)),
    isPrivate: (path) => wait(`looking at ${path}`, () => files.isPrivate(path)),
    removeFile: (path) => wait(`removing ${path}`, () => files.removeFile(path)),
    lock: (path) => wait(`locking ${path}`, () => files.lock(path), close),
    append: (path, text) => wait(`writing ${path}`, () => files.append(path, text)),
    device: (path) => wait(`looking at ${path}`, () => files.device(path)),
  });
  /** A program has the time that it was promised, and is killed at the end of it and at a cancellation. */
  const run: Processes['run'] = async (file, args, options = {}) => {
    const timeoutMs = options.timeoutMs ?? deadlineMs;
    const doing = `running ${file}`;
    throwIfCanceled(cancel, doing);
    const work = host.processes.run(file, args, { cancel, ...options, timeoutMs });
    const result = await within(work, { clock, deadlineMs: timeoutMs + graceMs, cancel, doing, graceMs });
    if (!result.timedOut || options.timeoutMs !== undefined) return result;
    throw new RuntsError('ERR_TIMEOUT', `no end after ${deadlineMs} ms of ${doing}`);
  };
  const boundedProcesses = ({ processes }: Host): Processes => ({
    spawn: (request) => boundedSpawn(host, request, { deadlineMs, cancel }),
    spawnBy: (zygote, request) => processes.spawnBy(zygote, request),
    forkBy: (zygote, request) => processes.forkBy(zygote, request),
    forkAhead: (zygote, request) => processes.forkAhead(zygote, request),
    ahead: (request) => processes.ahead(request),
    run: (file, args, options) => run(file, args, options),
    signal: (process, signal) => processes.signal(process, signal),
    find: (pid) =>
      wait(
        `looking for process ${pid}`,
        () => processes.find(pid),
        (handle) => handle?.close(),
      ),
    ended: (process) => wait('waiting for a process to end', () => processes.ended(process)),
    connect: (path, pid, process) =>
      wait(
        `connecting to ${path}`,
        () => processes.connect(path, pid, process),
        (session) => session.close(),
      ),
    inherited: (fd) => processes.inherited(fd),
  });
  const boundedSockets = ({ sockets }: Host): Sockets => ({
    listen: (path) => wait(`listening at ${path}`, () => sockets.listen(path), close),
    deliver: (path, message, handles) => wait(`sending to ${path}`, () => sockets.deliver(path, message, handles)),
    pair: () =>
      wait(
        'making a pair of sockets',
        () => sockets.pair(),
        ({ ours, theirs }) => [ours, theirs].forEach(close),
      ),
    connect: async (path) => {
      const stream = await wait(`connecting to ${path}`, () => sockets.connect(path), close);
      return {
        close: () => stream.close(),
        write: (bytes) => wait(`writing to ${path}`, () => stream.write(bytes)),
        read: () => wait(`waiting for an answer from ${path}`, () => stream.read()),
      };
    },
  });
  const boundedKernel = ({ kernel }: Host): Kernel => ({
    blob: (content) => kernel.blob(content),
    filterDevices: (cgroup, program) => wait('attaching a device filter', () => kernel.filterDevices(cgroup, program)),
    projectQuota: (directory, project) => wait('asking for a quota', () => kernel.projectQuota(directory, project)),
    limitProject: (directory, project, bytes) =>
      wait('setting a quota', () => kernel.limitProject(directory, project, bytes)),
    setProject: (directory, project) => wait('setting a project', () => kernel.setProject(directory, project)),
  });
  // The host may be bounded itself, and make its ports when they are asked for.
  return withPorts(host, {
    files: () => boundedFiles(host),
    cgroups: () => common(host.cgroups),
    processes: () => boundedProcesses(host),
    sockets: () => boundedSockets(host),
    kernel: () => boundedKernel(host),
  });
}
