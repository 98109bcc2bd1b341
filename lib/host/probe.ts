import type { CgroupFacts, Facts, IdRange } from '../plan/facts.ts';
import { parseSubordinate } from '../spec/users.ts';
import type { Environment, Host } from './host.ts';

/** What this host can do. Whatever cannot be read is taken for missing; nothing here fails. */
export async function probeFacts(host: Host): Promise<Facts> {
  const { kernel, arch, uid, gid, privileged } = host.environment;
  const [subordinate, available, cgroup, hostRoot] = await Promise.all([
    subordinateIds(host),
    availableIds(host),
    cgroupFacts(host),
    topLevel(host),
  ]);
  return { kernel, arch, uid, gid, privileged, subordinate, ...(available && { available }), cgroup, hostRoot };
}

/** The text of a file; empty where it cannot be read. */
export async function textOf(host: Host, path: string): Promise<string> {
  return host.files.read(path).catch(() => '');
}

// ---- ids ---------------------------------------------------------------------------------------------------------------

/** Root takes the ranges of these accounts, which exist for nothing else. */
const accountsOfRoot = ['runts', 'containers'];
/** No line is by this number: the accounts count by name only. */
const noUid = -1;

async function subordinateIds(host: Host): Promise<Facts['subordinate']> {
  const { uid, programs } = host.environment;
  // An ordinary user's map has more than one line only through the set-uid programs.
  if (uid !== 0 && (programs.newuidmap === undefined || programs.newgidmap === undefined))
    return { uids: [], gids: [] };
  const [uids, gids, uidMap, gidMap] = await Promise.all(
    ['/etc/subuid', '/etc/subgid', '/proc/self/uid_map', '/proc/self/gid_map'].map((path) => textOf(host, path)),
  );
  return {
    uids: mapped(rangesOf(uids ?? '', host.environment), uidMap ?? ''),
    gids: mapped(rangesOf(gids ?? '', host.environment), gidMap ?? ''),
  };
}

function rangesOf(text: string, { uid, userName }: Environment): readonly IdRange[] {
  if (uid !== 0) return parseSubordinate(text, userName, uid);
  return accountsOfRoot.flatMap((name) => parseSubordinate(text, name, noUid));
}

/** Nothing on the host itself, where every id exists. */
async function availableIds(host: Host): Promise<Facts['available']> {
  const [uids, gids] = await Promise.all(['uid', 'gid'].map((kind) => textOf(host, `/proc/self/${kind}_map`)));
  const found = { uids: idsInside(uids ?? ''), gids: idsInside(gids ?? '') };
  const all = [found.uids, found.gids].every((ranges) => ranges.length === 0 || ranges[0]!.count >= 0xffff_ffff);
  return all ? undefined : found;
}

/** The first column of an id map and its third: ids as this user namespace counts them. */
function idsInside(idMap: string): IdRange[] {
  return [...idMap.matchAll(/^\s*(\d+)\s+\d+\s+(\d+)\s*$/gm)].map((m) => ({
    start: Number(m[1]),
    count: Number(m[2]),
  }));
}

/** The parts of the ranges that exist in the user namespace that we are in: others cannot be mapped from here. */
export function mapped(ranges: readonly IdRange[], idMap: string): IdRange[] {
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

async function cgroupFacts(host: Host): Promise<CgroupFacts> {
  const { mode, mount } = cgroupMounts(await textOf(host, '/proc/self/mountinfo'));
  if (mount === undefined) return { mode, parent: undefined, controllers: [] };
  const own = /^0::(\/.*)$/m.exec(await textOf(host, '/proc/self/cgroup'))?.[1] ?? '/';
  for (const parent of candidates(mount, own, host.environment.uid)) {
    if (await host.files.canWrite(parent).catch(() => false))
      return { mode, parent, controllers: await controllersOf(host, parent, mount) };
  }
  return { mode, parent: undefined, controllers: [] };
}

interface CgroupMounts {
  readonly mode: CgroupFacts['mode'];
  /** Where cgroup v2 is mounted. */
  readonly mount: string | undefined;
}

/** mountinfo: `id parent major:minor root mountpoint options [tags] - fstype source options` (proc(5)). */
export function cgroupMounts(mountinfo: string): CgroupMounts {
  const lines = mountinfo.split('\n').map((line) => line.split(' - '));
  const at = (type: string) =>
    lines
      .filter(([, after]) => after?.startsWith(`${type} `))
      .map(([before]) => unescaped((before ?? '').split(' ')[4] ?? ''));
  const [mount] = at('cgroup2');
  const old = at('cgroup').length > 0;
  if (mount === undefined) return { mode: old ? 'legacy' : 'none', mount };
  return { mode: old ? 'hybrid' : 'unified', mount };
}

/** mountinfo writes blanks and backslashes as octal numbers. */
const unescaped = (path: string) =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

/**
 * Where cgroups may be ours to make, the best first. Root: the top, which alone may have processes and children with
 * controllers. Others: the topmost directory above us that is delegated (systemd's user@UID.service), since the processes
 * of a delegated tree live in its leaves, and a clone into a cgroup must not leave it (cgroups(7)).
 */
function candidates(mount: string, own: string, uid: number): string[] {
  const names = own.split('/').filter((name) => name !== '' && name !== '..');
  const paths = names.map((_, i) => `${mount}/${names.slice(0, i + 1).join('/')}`);
  return uid === 0 ? [mount, ...paths] : paths.length === 0 ? [mount] : paths;
}

/** A cgroup with processes of its own can give its children only what it gives them already; the top is exempt. */
async function controllersOf(host: Host, parent: string, mount: string): Promise<string[]> {
  const occupied = parent !== mount && (await textOf(host, `${parent}/cgroup.procs`)).trim() !== '';
  const text = await textOf(host, `${parent}/${occupied ? 'cgroup.subtree_control' : 'cgroup.controllers'}`);
  return text.split(/\s+/).filter((word) => word !== '');
}

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
    const kind = await host.files.kind(`/${name}`).catch(() => undefined);
    if (link !== undefined) found[name] = { link };
    else if (kind === 'directory') found[name] = 'directory';
  }
  return found;
}
