import type { CgroupFacts, Facts, IdRange } from '../plan/facts.ts';
import { unescaped } from '../spec/mountinfo.ts';
import { parseSubordinate } from '../spec/users.ts';
import { errnoOf, refused } from './failure.ts';
import type { Environment, Host } from './host.ts';

export interface ProbeOptions {
  /** The root file system is a directory: nobody asks what the host has at its top level. */
  readonly ofDirectory?: boolean | undefined;
}

/** What this host can do. Whatever cannot be read is taken for missing, but where we are short of what it takes to read. */
export async function probeFacts(host: Host, { ofDirectory = false }: ProbeOptions = {}): Promise<Facts> {
  const { kernel, arch, uid, gid, privileged } = host.environment;
  const mountinfo = textOf(host, '/proc/self/mountinfo');
  const ownMaps = Promise.all(['uid', 'gid'].map((kind) => textOf(host, `/proc/self/${kind}_map`)));
  const [subordinate, setgroups, nested, available, cgroup, hostRoot] = await Promise.all([
    subordinateIds(host, ownMaps),
    textOf(host, '/proc/self/setgroups'),
    isNested(host),
    ownMaps.then(availableIds),
    mountinfo.then((text) => cgroupFacts(host, text)),
    ofDirectory ? {} : topLevel(host),
  ]);
  const hiddenProc = hidingProc(await mountinfo);
  return {
    ...{ kernel, arch, uid, gid, privileged, subordinate },
    ...(nested && { nested }),
    ...(setgroups.trim() === 'deny' && { groupsDenied: true as const }),
    ...(available && { available }),
    cgroup,
    ...(hiddenProc.length > 0 && { hiddenProc }),
    hostRoot,
  };
}

const shortOf = ['EMFILE', 'ENFILE', 'ENOMEM'];

/** The text of a file; empty where it cannot be read. */
export async function textOf(host: Host, path: string): Promise<string> {
  return host.files.read(path).catch((error: unknown) => {
    // It is there all the same: whatever came of taking it for missing would name a wrong reason.
    if (shortOf.includes(errnoOf(error) ?? '')) throw refused(error, { at: 'state', doing: `read ${path}` });
    return '';
  });
}

// ---- ids ---------------------------------------------------------------------------------------------------------------

/** Of the users and of the groups of our own user namespace. */
type IdMapTexts = readonly (string | undefined)[];

const hasMapPrograms = ({ programs }: Environment): boolean =>
  programs.newuidmap !== undefined && programs.newgidmap !== undefined;

/** Root takes the ranges of these accounts, which exist for nothing else. */
const accountsOfRoot = ['runts', 'containers'];
/** No line is by this number: the accounts count by name only. */
const noUid = -1;

async function subordinateIds(host: Host, ownMaps: Promise<IdMapTexts>): Promise<Facts['subordinate']> {
  // An ordinary user's map has more than one line only through the set-uid programs.
  if (host.environment.uid !== 0 && !hasMapPrograms(host.environment)) return { uids: [], gids: [] };
  const [uids, gids] = await Promise.all(['/etc/subuid', '/etc/subgid'].map((path) => textOf(host, path)));
  const [uidMap, gidMap] = await ownMaps;
  return {
    uids: mapped(rangesOf(uids ?? '', host.environment), uidMap ?? ''),
    gids: mapped(rangesOf(gids ?? '', host.environment), gidMap ?? ''),
  };
}

function rangesOf(text: string, environment: Environment): readonly IdRange[] {
  const { uid } = environment;
  if (uid !== 0) return parseSubordinate(text, environment.userName, uid);
  return accountsOfRoot.flatMap((name) => parseSubordinate(text, name, noUid));
}

/** PROC_USER_INIT_INO of linux/proc_ns.h: the number of the host's own user namespace. A map may look like the host's elsewhere. */
const hostUserNamespace = 'user:[4026531837]';

async function isNested(host: Host): Promise<true | undefined> {
  const link = await host.files.readLink('/proc/self/ns/user').catch(() => undefined);
  return link === undefined || link === hostUserNamespace ? undefined : true;
}

/** Nothing on the host itself, where every id exists. */
function availableIds([uids, gids]: IdMapTexts): Facts['available'] {
  const found = { uids: idsInside(uids ?? ''), gids: idsInside(gids ?? '') };
  const all = [found.uids, found.gids].every((ranges) => ranges.length === 0 || ranges[0]!.count >= 0xffff_ffff);
  return all ? undefined : found;
}

/** The first column of an id map and its third: ids as this user namespace counts them. */
function idsInside(idMap: string): IdRange[] {
  const rows = idMap.split('\n').map((line) => line.split(' ').filter((field) => field !== ''));
  return rows
    .filter(({ length }) => length === 3)
    .map(([start, , count]) => ({ start: Number(start), count: Number(count) }));
}

/** The parts of the ranges that exist in the user namespace that we are in: others cannot be mapped from here. */
export function mapped(ranges: readonly IdRange[], idMap: string): IdRange[] {
  if (ranges.length === 0) return [];
  const inside = idsInside(idMap);
  if (inside.length === 0) return [...ranges];
  const parts = ranges.flatMap(({ start, count }) =>
    inside.map((exists) => {
      const from = Math.max(start, exists.start);
      return { start: from, count: Math.min(start + count, exists.start + exists.count) - from };
    }),
  );
  return parts.filter((part) => part.count > 0);
}

// ---- cgroups -----------------------------------------------------------------------------------------------------------

async function cgroupFacts(host: Host, mountinfo: string): Promise<CgroupFacts> {
  const [membership, hierarchies] = await Promise.all(
    ['/proc/self/cgroup', '/proc/cgroups'].map((path) => textOf(host, path)),
  );
  const found = cgroupMounts(mountinfo);
  const { mode, mount } = found;
  const own = ownCgroup(membership ?? '', found);
  const legacy = legacyControllers(hierarchies ?? '');
  const none = { mode, mount, own, parent: undefined, controllers: [], occupied: false, legacy };
  if (mount === undefined) return none;
  const { uid } = host.environment;
  for (const parent of candidates(mount, own, uid)) {
    if (await isDelegated(host, parent, uid)) return { ...none, parent, ...(await controllersOf(host, parent)) };
  }
  return none;
}

interface CgroupMounts {
  readonly mode: CgroupFacts['mode'];
  /** Where cgroup v2 is mounted. */
  readonly mount: string | undefined;
  /** Which of its directories is mounted there; `/..` and the like where that is above our cgroup namespace. */
  readonly root: string;
}

/** mountinfo: `id parent major:minor root mountpoint options [tags] - fstype source options` (proc(5)). */
export function cgroupMounts(mountinfo: string): CgroupMounts {
  const mounts = mountinfo
    .split('\n')
    .filter((line) => line.includes(' - cgroup2 '))
    .map((line) => {
      const [, , , root = '', mount = ''] = line.split(' ');
      return { root: unescaped(root), mount: unescaped(mount) };
    });
  const old = mountinfo.includes(' - cgroup ');
  // Where it belongs, or else the first; of those on one place the last, which hides the others.
  const place = mounts.find(({ mount }) => mount === '/sys/fs/cgroup')?.mount ?? mounts[0]?.mount;
  const found = mounts.filter(({ mount }) => mount === place).pop();
  if (found === undefined) return { mode: old ? 'legacy' : 'none', mount: undefined, root: '/' };
  return { mode: old ? 'hybrid' : 'unified', ...found };
}

/** The directory of our own cgroup; a `..` in it is one outside of our cgroup namespace. */
export function ownCgroup(membership: string, { mount, root }: CgroupMounts): string | undefined {
  const path = /^0::(\/.*)$/m.exec(membership)?.[1];
  if (mount === undefined || path === undefined || path.startsWith('/..')) return undefined;
  const below = root === '/' ? path : path === root ? '/' : path.startsWith(`${root}/`) ? path.slice(root.length) : '';
  return below === '' ? undefined : `${mount}${below}`.replace(/\/$/, '');
}

/** What version 2 calls them; the others have the same name, or none. */
const renamed: Readonly<Record<string, string>> = { blkio: 'io' };

/** /proc/cgroups: `name hierarchy cgroups enabled`, where hierarchy 0 is that of version 2. */
function legacyControllers(hierarchies: string): string[] {
  const rows = hierarchies.split('\n').map((line) => line.split('\t'));
  const old = rows.filter(([, hierarchy]) => Number(hierarchy) > 0);
  return old.map(([name = '']) => renamed[name] ?? name);
}

/**
 * Where cgroups may be ours to make, the best first. Root: the top, which alone may have processes and children with
 * controllers. Others: the topmost directory above us that is delegated (systemd's user@UID.service), since the processes
 * of a delegated tree live in its leaves, and a clone into a cgroup must not leave it (cgroups(7)).
 */
function candidates(mount: string, own: string | undefined, uid: number): string[] {
  const names = (own ?? mount).slice(mount.length).split('/').slice(1);
  const paths = names.map((_, i) => `${mount}/${names.slice(0, i + 1).join('/')}`);
  return uid === 0 ? [mount, ...paths] : paths.length === 0 ? [mount] : paths;
}

/** Directories to make, and processes to move. */
async function isDelegated(host: Host, path: string, uid: number): Promise<boolean> {
  const files = uid === 0 ? [path] : [path, `${path}/cgroup.procs`];
  for (const file of files) if (!(await host.files.canWrite(file).catch(() => false))) return false;
  return true;
}

/** A cgroup with processes of its own can give its children only what it gives them already; the top is exempt. */
async function controllersOf(host: Host, parent: string): Promise<Pick<CgroupFacts, 'controllers' | 'occupied'>> {
  // Only the real top has no type; in a cgroup namespace the top is a cgroup like any other.
  const top = (await textOf(host, `${parent}/cgroup.type`)) === '';
  const occupied = !top && (await textOf(host, `${parent}/cgroup.procs`)).trim() !== '';
  const text = await textOf(host, `${parent}/${occupied ? 'cgroup.subtree_control' : 'cgroup.controllers'}`);
  return { controllers: text.split(/\s+/).filter((word) => word !== ''), occupied };
}

// ---- procfs ------------------------------------------------------------------------------------------------------------

/** Directories that are there to be mounted on, and hide nothing: the kernel does not count them either. */
const mountPoints = ['/proc/sys/fs/binfmt_misc', '/proc/fs/nfsd', '/proc/fs/nfs', '/proc/openprom'];

function hidingProc(mountinfo: string): string[] {
  const lines = mountinfo.split('\n').filter((line) => line.includes(' /proc/'));
  const paths = lines.map((line) => unescaped(line.split(' ')[4] ?? ''));
  return [...new Set(paths.filter((path) => path.startsWith('/proc/') && !mountPoints.includes(path)))];
}

/** Another one after each boot (random(4)): what is on record from before it holds no more. */
export const bootId = async ({ files }: Host): Promise<string> =>
  (await files.read('/proc/sys/kernel/random/boot_id')).trim();

// ---- the host as a root ------------------------------------------------------------------------------------------------

const topNames = [
  'usr',
  'usr/local',
  'bin',
  'sbin',
  'lib',
  'lib32',
  'lib64',
  'libx32',
  'etc',
  'opt',
  'mnt',
  'media',
  'srv',
];

async function topLevel(host: Host): Promise<Facts['hostRoot']> {
  const found: Record<string, Facts['hostRoot'][string]> = {};
  for (const name of topNames) {
    const link = await host.files.readLink(`/${name}`).catch(() => undefined);
    if (link !== undefined) found[name] = { link };
    else if ((await kindOf(host, `/${name}`)) === 'directory') found[name] = 'directory';
  }
  return found;
}

const kindOf = (host: Host, path: string) => host.files.kind(path).catch(() => undefined);
