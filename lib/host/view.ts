import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { viewProgram, viewTag } from '../plan/view.ts';
import type { Spec } from '../spec/types.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { type ServerUndo, startServer } from './server.ts';
import { Undo } from './undo.ts';

export interface ViewSources {
  /** The first process of the container. */
  readonly pid: number;
  /** Its user namespace, where it has one of its own; it stays the caller's. */
  readonly user: Handle | undefined;
  /** The directory of its cgroup, where it has one. */
  readonly cgroup: string | undefined;
  readonly facts: Facts;
  /** It serves a container that outlives us. */
  readonly outlives: boolean;
}

/** Starts the server of a system view, and gives its mount, which is the caller's to close. */
export async function serveView(
  host: Host,
  { pid, user, cgroup, facts, outlives }: ViewSources,
  patience: Patience,
  undo: ServerUndo,
): Promise<Handle> {
  const ports = bounded(host, patience);
  const opened = new Undo();
  const open = async (path: string): Promise<Handle> => {
    const handle = await ports.files.open(path, 'path').catch((error: unknown) => {
      throw refused(error, { at: 'input', doing: `open ${path} for a system view` });
    });
    opened.add(() => handle.close());
    return handle;
  };
  try {
    const process = await open(`/proc/${pid}`);
    const group = cgroup === undefined ? undefined : await open(cgroup);
    const shape = { mapped: user !== undefined, cgroup: group !== undefined, owned: !outlives };
    const segment = viewProgram(shape, facts);
    const inputs = [process, user, group].filter((handle) => handle !== undefined);
    return await startServer(host, { segment, inputs, facts, tag: viewTag }, patience, undo);
  } finally {
    await opened.run();
  }
}

/** Where a server of FUSE speaks with the kernel. */
const device = '/dev/fuse';

/** Refuses a system view that this host cannot have, before anything is made for the container. */
export async function checkView(host: Host): Promise<void> {
  if (await host.files.canWrite(device).catch(() => false)) return;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot make a system view: ${device} is missing, or not for us to open`, {
    origin: '/systemView',
    hint: 'As root: modprobe fuse, and chmod 666 /dev/fuse; in a container: pass the device on. Or leave systemView away: the container then sees the host’s processors and memory, and its limits hold all the same.',
  });
}

/**
 * A time namespace whose time since boot begins now, where the configuration says nothing of one: for sysinfo(2), and so
 * that the start times of processes are on one scale with the uptime of the view.
 */
export async function withOwnTime(host: Host, spec: Spec): Promise<Spec> {
  const { namespaces, timeOffsets = {} } = spec.linux;
  if (namespaces.some(({ type }) => type === 'time') || Object.keys(timeOffsets).length > 0) return spec;
  const known = await host.files.kind('/proc/self/ns/time').catch(() => undefined);
  if (known === undefined) return spec;
  // Hundredths of a second, rounded to the past: a clock may not be before its beginning.
  const [uptime = '0'] = (await host.files.read('/proc/uptime')).split(' ');
  const since = Math.round(Number(uptime) * 100);
  const secs = -Math.ceil(since / 100);
  const linux = {
    ...spec.linux,
    namespaces: [...namespaces, { type: 'time' as const }],
    timeOffsets: { boottime: { secs, nanosecs: (-since - secs * 100) * 10_000_000 } },
  };
  return { ...spec, linux };
}

/** The same, whose time began with an earlier start, or before the machine did. */
export function withOwnTimeAgain(host: Host, spec: Spec): Promise<Spec> {
  const { timeOffsets: _, ...linux } = spec.linux;
  const namespaces = linux.namespaces.filter(({ type }) => type !== 'time');
  return withOwnTime(host, { ...spec, linux: { ...linux, namespaces } });
}
