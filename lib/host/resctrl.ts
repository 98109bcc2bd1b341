import { RuntsError } from '../errors.ts';
import type { IntelRdt } from '../spec/types.ts';
import { errnoOf, refused } from './failure.ts';
import type { Host } from './host.ts';

const origin = '/linux/intelRdt';

/** Where resctrl is mounted; undefined where it is not. */
async function mountPoint(host: Host): Promise<string | undefined> {
  const text = await host.files.read('/proc/self/mountinfo');
  // proc_pid_mountinfo(5): the mount point is the fifth field, the type follows a hyphen.
  const line = text.split('\n').find((each) => / - resctrl /.test(each));
  return line
    ?.split(' ')[4]
    ?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** The group of a container: the one that closID names, else one of its name; `/` is the group of everybody. */
async function groupOf(
  host: Host,
  { closID }: IntelRdt,
  id: string,
): Promise<{ readonly top: string; readonly path: string }> {
  const top = await mountPoint(host);
  if (top === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'cannot limit cache or memory bandwidth: resctrl is not mounted', {
      origin,
      hint: 'Where the processor has Intel RDT or AMD PQoS: mount -t resctrl resctrl /sys/fs/resctrl.',
    });
  }
  if (closID === '/') return { top, path: top };
  return { top, path: `${top}/${closID === undefined || closID === '' ? id : closID}` };
}

/** The groups that will be made for a container, for the record; changes nothing. */
export async function intendGroups(host: Host, rdt: IntelRdt, id: string): Promise<readonly string[]> {
  const { path } = await groupOf(host, rdt, id);
  const made: string[] = [];
  if ((await host.files.kind(path)) === undefined) made.push(path);
  if (rdt.enableMonitoring) made.push(`${path}/mon_groups/${id}`);
  return made;
}

/** Puts the process of a container into its group, with the schemata that it is to have (config-linux.md, "IntelRdt"). */
export async function joinGroup(
  host: Host,
  rdt: IntelRdt,
  id: string,
  pid: number,
  made: readonly string[],
): Promise<void> {
  const { path } = await groupOf(host, rdt, id);
  const wanted = [...(rdt.schemata ?? []), ...lines(rdt.l3CacheSchema), ...lines(rdt.memBwSchema)];
  const exists = !made.includes(path);
  if (exists && rdt.closID !== undefined && rdt.closID !== '/' && wanted.length > 0)
    await mustMatch(host, path, wanted);
  for (const directory of made) await makeGroup(host, directory);
  if (!exists || rdt.closID === undefined) for (const line of wanted) await write(host, `${path}/schemata`, line);
  await write(host, `${path}/tasks`, `${pid}`);
  if (rdt.enableMonitoring) await write(host, `${path}/mon_groups/${id}/tasks`, `${pid}`);
}

/** Several lines may come as one text. */
const lines = (text: string | undefined) => (text ?? '').split('\n').filter((line) => line !== '');

/** A group that others are in already keeps what it has. */
async function mustMatch(host: Host, path: string, wanted: readonly string[]): Promise<void> {
  const normal = (line: string) => line.replace(/\s/g, '').toUpperCase();
  const has = (await host.files.read(`${path}/schemata`)).split('\n').map(normal);
  const missing = wanted.find((line) => !has.includes(normal(line)));
  if (missing === undefined) return;
  throw new RuntsError('ERR_STATE', `the group ${path} exists, and its schemata are not ${JSON.stringify(missing)}`, {
    origin: `${origin}/schemata`,
    hint: 'Choose another closID, or leave the schemata away.',
  });
}

async function makeGroup(host: Host, path: string): Promise<void> {
  await host.files.makeDirectory(path, 0o755).catch((error: unknown) => {
    if (errnoOf(error) === 'EEXIST') return;
    const hint = 'The processor has only so many classes; `rmdir` of an unused one below resctrl makes room.';
    if (errnoOf(error) === 'ENOSPC')
      throw new RuntsError('ERR_SETUP', `cannot make the group ${path}: ENOSPC`, { origin, hint });
    throw refused(error, { at: 'cgroup', doing: `make the group ${path}`, origin });
  });
}

async function write(host: Host, path: string, text: string): Promise<void> {
  await host.files.write(path, `${text}\n`).catch((error: unknown) => {
    throw refused(error, { at: 'cgroup', doing: `write ${JSON.stringify(text)} to ${path}`, origin });
  });
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

/** Changes the schemata of a container's own group. */
export async function updateGroup(
  host: Host,
  paths: readonly string[] | undefined,
  schemata: readonly string[],
): Promise<void> {
  const path = paths?.[0];
  if (path === undefined) {
    throw new RuntsError('ERR_UNSUPPORTED', 'the container has no group of Intel RDT of its own', {
      hint: 'Its configuration needs linux.intelRdt.',
    });
  }
  for (const line of schemata) await write(host, `${path}/schemata`, line);
}
