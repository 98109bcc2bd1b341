import { RuntsError } from '../errors.ts';
import { unescaped } from '../spec/mountinfo.ts';
import type { IntelRdt } from '../spec/types.ts';
import { errnoOf, refused } from './failure.ts';
import type { Host } from './host.ts';

const origin = '/linux/intelRdt';
/** What the kernel has at the top beside groups. */
const reserved = ['info', 'mon_groups', 'mon_data'];

/** Where resctrl is mounted; undefined where it is not. */
async function mountPoint(host: Host): Promise<string | undefined> {
  const text = await attempted(host.files.read('/proc/self/mountinfo'), 'look for resctrl');
  // proc_pid_mountinfo(5): the mount point is the fifth field, the type follows a hyphen.
  const line = text.split('\n').find((each) => / - resctrl /.test(each));
  const path = line?.split(' ')[4];
  return path === undefined ? undefined : unescaped(path);
}

/** Directories of a container. */
interface Groups {
  /** The class of service: the one that closID names, else one of its name; `/` is that of everybody. */
  readonly control: string;
  /** Whether it is nobody else's. */
  readonly own: boolean;
  /** What is counted for it alone. */
  readonly monitor: string | undefined;
}

async function groupsOf(host: Host, rdt: IntelRdt, id: string): Promise<Groups> {
  const top = await mountPoint(host);
  if (top === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'cannot limit cache or memory bandwidth: resctrl is not mounted', {
      origin,
      hint: 'Where the processor has Intel RDT or AMD PQoS: mount -t resctrl resctrl /sys/fs/resctrl.',
    });
  }
  const { closID = '' } = rdt;
  const name = closID === '' ? id : closID;
  if (reserved.includes(name)) {
    const message = `cannot make the group ${name}: the kernel has a directory of this name in ${top}`;
    throw new RuntsError('ERR_SPEC', message, { origin, hint: 'Choose another linux.intelRdt.closID.' });
  }
  const control = name === '/' ? top : `${top}/${name}`;
  const monitor = isMonitored(rdt) ? `${control}/mon_groups/${id}` : undefined;
  return { control, own: closID === '', monitor };
}

/** The two older words counted different things, where now all that there is to count is. */
const isMonitored = ({ enableMonitoring, enableCMT, enableMBM }: IntelRdt): boolean =>
  enableMonitoring === true || enableCMT === true || enableMBM === true;

/** What its schemata are to be, in the order of the specification: what `schemata` says, it says last. */
function wantedLines({ l3CacheSchema, memBwSchema, schemata = [] }: IntelRdt): string[] {
  const bandwidth = linesOf(memBwSchema);
  const cache = linesOf(l3CacheSchema).filter((line) => bandwidth.length === 0 || !/^\s*MB:/.test(line));
  return [...cache, ...bandwidth, ...schemata.flatMap(linesOf)];
}

/** Several lines may come as one text. */
const linesOf = (text: string | undefined) => (text ?? '').split('\n').filter((line) => line.trim() !== '');

/**
 * The groups that are made for a container and go with it, for the record; changes nothing. A class that closID names stays,
 * whoever made it: others may be in it by then.
 */
export async function intendGroups(host: Host, rdt: IntelRdt, id: string): Promise<readonly string[]> {
  const { control, own, monitor } = await groupsOf(host, rdt, id);
  const exists = await isThere(host, control);
  if (own && exists) throw taken(control);
  if (!own && !exists && wantedLines(rdt).length === 0) {
    throw new RuntsError('ERR_SPEC', `cannot put the container into the group ${control}: there is none`, {
      origin: `${origin}/closID`,
      hint: 'Make it first (mkdir), or say in linux.intelRdt.schemata what it is to have.',
    });
  }
  if (!own && exists) await mustMatch(host, control, wantedLines(rdt));
  if (monitor !== undefined && (await isThere(host, monitor))) throw taken(monitor);
  return [...(own ? [control] : []), ...(monitor === undefined ? [] : [monitor])];
}

const isThere = async (host: Host, path: string): Promise<boolean> =>
  (await attempted(host.files.kind(path), `look at the group ${path}`)) !== undefined;

const taken = (path: string) =>
  new RuntsError('ERR_EXISTS', `cannot make the group ${path}: it exists`, {
    origin,
    hint: 'Another container of this id has it. If there is none: rmdir it.',
  });

/** Puts the first process of a container into its groups, with the schemata that they are to have (config-linux.md). */
export async function joinGroup(host: Host, rdt: IntelRdt, id: string, pid: number): Promise<void> {
  const { control, own, monitor } = await groupsOf(host, rdt, id);
  const wanted = wantedLines(rdt);
  if (await makeGroup(host, control)) {
    // At once: the kernel takes all of it, or nothing.
    if (wanted.length > 0) await write(host, `${control}/schemata`, wanted.join('\n'));
  } else {
    if (own) throw taken(control);
    await mustMatch(host, control, wanted);
  }
  if (monitor !== undefined && !(await makeGroup(host, monitor))) throw taken(monitor);
  await enter(host, control, monitor, pid);
}

/** Puts one more process of a container there. */
export async function enterGroups(host: Host, rdt: IntelRdt, id: string, pid: number): Promise<void> {
  const { control, monitor } = await groupsOf(host, rdt, id);
  await enter(host, control, monitor, pid);
}

/** In this order: a group that counts takes only who is in its class. */
async function enter(host: Host, control: string, monitor: string | undefined, pid: number): Promise<void> {
  await write(host, `${control}/tasks`, `${pid}`);
  if (monitor !== undefined) await write(host, `${monitor}/tasks`, `${pid}`);
}

/** A group that others are in already keeps what it has. */
async function mustMatch(host: Host, path: string, wanted: readonly string[]): Promise<void> {
  if (wanted.length === 0) return;
  const file = `${path}/schemata`;
  const has = new Set(linesOf(await attempted(host.files.read(file), `read ${file}`)).flatMap(settings));
  const missing = wanted.find((line) => settings(line).some((setting) => !has.has(setting)));
  if (missing === undefined) return;
  throw new RuntsError('ERR_STATE', `the group ${path} exists, and its schemata are not ${JSON.stringify(missing)}`, {
    origin: `${origin}/schemata`,
    hint: 'Choose another closID, or leave the schemata away.',
  });
}

/** `L3:0=0f;1=ff` as `L3:0=f` and `L3:1=ff`: the kernel pads what it shows, and a schema may leave domains out. */
function settings(line: string): string[] {
  const [name = '', values = ''] = line.replace(/\s/g, '').toUpperCase().split(':');
  return values
    .split(';')
    .filter((each) => each !== '')
    .map((each) => `${name}:${each.replace(/(^|=)0+(?=.)/g, '$1')}`);
}

/** False where it exists. */
async function makeGroup(host: Host, path: string): Promise<boolean> {
  try {
    await host.files.makeDirectory(path, 0o755);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    const hint = 'The processor has only so many classes; `rmdir` of an unused one below resctrl makes room.';
    if (errnoOf(error) === 'ENOSPC')
      throw new RuntsError('ERR_SETUP', `cannot make the group ${path}: ENOSPC`, { origin, hint });
    throw refused(error, { at: 'cgroup', doing: `make the group ${path}`, origin });
  }
}

const write = (host: Host, path: string, text: string): Promise<void> =>
  attempted(host.files.write(path, `${text}\n`), `write ${JSON.stringify(text)} to ${path}`);

async function attempted<T>(work: Promise<T>, doing: string): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw refused(error, { at: 'cgroup', doing, origin });
  }
}

/** Removes the groups that were made for a container, the innermost first; one that is gone is fine. */
export async function removeGroups(host: Host, paths: readonly string[]): Promise<void> {
  for (const path of [...paths].reverse()) {
    await host.files.removeDirectory(path).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT')
        throw refused(error, { at: 'cgroup', doing: `remove the group ${path}`, origin });
    });
  }
}

/** Changes the schemata of the class that a container is in. */
export async function updateGroup(
  host: Host,
  rdt: IntelRdt | undefined,
  id: string,
  schemata: readonly string[],
): Promise<void> {
  if (rdt === undefined || rdt.closID === '/') {
    throw new RuntsError('ERR_UNSUPPORTED', 'the container has no group of Intel RDT of its own', {
      hint: 'Its configuration needs linux.intelRdt, with another closID than "/".',
    });
  }
  const { control } = await groupsOf(host, rdt, id);
  await write(host, `${control}/schemata`, schemata.flatMap(linesOf).join('\n'));
}
