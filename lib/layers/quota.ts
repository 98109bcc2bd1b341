import { setTimeout } from 'node:timers/promises';
import { RuntsError } from '../errors.ts';
import type { Handle, Host } from '../host/host.ts';
import type { RootPlace } from '../host/image.ts';
import { projectsUnsupported, type Refusal } from './quota-hints.ts';
import { readRecordText } from './record-file.ts';

/** A container's directory that is limited. */
export interface Limited {
  /** Lifts the limit, when the container is removed; its number is free then. */
  release(): Promise<void>;
}

/** Numbers of projects that are ours: far from those that people write into /etc/projid. */
const first = 0x7275_0000;
const count = 0x1_0000;

const projectsName = 'projects.json';
const lockName = 'projects.lock';
const lockPauseMs = 10;
const lockTriesMax = 1000;

/** Which container has which number. */
type Projects = Readonly<Record<string, string>>;

/**
 * Limits how many bytes there may be in the directory of a container, which is there and empty: by a quota for a project of
 * its own, where the file system has them. All that is made below the directory belongs to the project.
 */
export async function limitContainer(place: Omit<RootPlace, 'cancel'>, bytes: number): Promise<Limited> {
  const { host, facts, id, maps, mappable } = place;
  const data = host.environment.dataDirectory;
  if (!facts.privileged) throw refused('only root can set quotas', rootHint);
  // Of the host's own root, the kernel lets any limit be exceeded.
  if (maps === undefined || !mappable) throw refused('root of the container would be root of the host', userHint);
  const directory = await host.files.open(`${data}/containers/${id}`, 'directory');
  try {
    await mustHaveProjects(host, directory);
    const project = await withProjects(host, async (projects) => {
      const living = await reclaimed(host, directory, projects);
      const number = await freeNumber(host, directory, living);
      // Before anything has the number: what a killed process leaves is found by it.
      await note(host, { ...living, [number]: id });
      return number;
    });
    await host.kernel.limitProject(directory, project, bytes);
    await host.kernel.setProject(directory, project);
    return { release: () => release(host, project) };
  } catch (error) {
    throw RuntsError.is(error) ? error : await explained(host, error);
  } finally {
    directory.close();
  }
}

async function mustHaveProjects(host: Host, directory: Handle): Promise<void> {
  const found = await host.kernel.projectQuota(directory, first).catch((error: unknown) => error as { code?: string });
  if ('enforced' in found && found.enforced) return;
  if ('enforced' in found) throw await explained(host, undefined);
  throw await explained(host, found);
}

/** Without the entries of containers that are gone: a process that was killed has not lifted their limits. */
async function reclaimed(host: Host, directory: Handle, projects: Projects): Promise<Projects> {
  const living: Record<string, string> = {};
  for (const [number, id] of Object.entries(projects)) {
    const isThere = (await host.files.kind(`${host.environment.dataDirectory}/containers/${id}`)) !== undefined;
    if (isThere) living[number] = id;
    else await host.kernel.limitProject(directory, Number(number), 0);
  }
  return living;
}

/** One that nobody has: neither a container of ours, nor anybody else on this file system, by what the kernel knows of it. */
async function freeNumber(host: Host, directory: Handle, taken: Projects): Promise<number> {
  const [high = 0, low = 0] = host.random(2);
  for (let i = 0; i < count; i++) {
    const number = first + ((high * 256 + low + i) % count);
    if (Object.hasOwn(taken, number)) continue;
    const { used, limit } = await host.kernel.projectQuota(directory, number);
    if (used === 0 && limit === 0) return number;
  }
  throw new RuntsError(
    'ERR_SETUP',
    `cannot limit what a container writes: all ${count} numbers of projects are taken`,
    {
      origin,
      hint: 'Remove containers that have a limit.',
    },
  );
}

async function release(host: Host, project: number): Promise<void> {
  await withProjects(host, async (projects) => {
    const directory = await host.files.open(host.environment.dataDirectory, 'directory');
    try {
      await host.kernel.limitProject(directory, project, 0);
    } finally {
      directory.close();
    }
    const { [project]: _gone, ...left } = projects;
    await note(host, left);
  });
}

const note = (host: Host, projects: Projects) =>
  host.files.replace(`${host.environment.dataDirectory}/${projectsName}`, JSON.stringify(projects));

/** As the only process that looks for a number, or gives one back. */
async function withProjects<T>(host: Host, work: (projects: Projects) => Promise<T>): Promise<T> {
  const data = host.environment.dataDirectory;
  const lock = await locked(host, `${data}/${lockName}`);
  try {
    const text = (await readRecordText(`${data}/${projectsName}`)) ?? '{}';
    return await work(projectsOf(text));
  } finally {
    lock.close();
  }
}

/** The numbers of ours in it, and nothing else: that of somebody else is not ours to change. */
function projectsOf(text: string): Projects {
  const isOurs = (number: string) =>
    /^[1-9]\d*$/.test(number) && Number(number) >= first && Number(number) < first + count;
  const isName = (id: unknown) => typeof id === 'string' && /^[\w.-]+$/.test(id) && !/^\.+$/.test(id);
  try {
    const all = Object.entries(JSON.parse(text) as object);
    return Object.fromEntries(all.filter(([number, id]) => isOurs(number) && isName(id)));
  } catch {
    // Damaged: which numbers are in use, the kernel knows as well.
    return {};
  }
}

async function locked(host: Host, path: string): Promise<Handle> {
  for (let tries = 1; ; tries++) {
    try {
      return await host.files.lock(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || tries === lockTriesMax) throw error;
    }
    await setTimeout(lockPauseMs);
  }
}

const origin = '/storage';
const rootHint = 'An ordinary user can give the data directory a file system of its own, of the size that is wanted.';
const userHint = "Leave userns: 'host' away, and the user namespace in the specification: no quota holds without.";

const refused = (why: string, hint: string) =>
  new RuntsError('ERR_UNSUPPORTED', `cannot limit what a container writes: ${why}`, { origin, hint });

/** What the file system of the data directory has against it. */
async function explained(host: Host, cause: unknown): Promise<RuntsError> {
  const data = host.environment.dataDirectory;
  const mountinfo = await host.files.read('/proc/self/mountinfo');
  const { why, hint }: Refusal = projectsUnsupported(mountinfo, data, (cause as { code?: string } | undefined)?.code);
  const message = `cannot limit what a container writes: ${why}`;
  return new RuntsError('ERR_UNSUPPORTED', message, { origin, hint, cause });
}
