import { RuntsError } from '../errors.ts';

/** A line of an image's /etc/passwd. */
export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** A line of an image's /etc/group. */
export interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** A range of ids that a user may map. */
export interface SubordinateRange {
  readonly start: number;
  readonly count: number;
}

/** Who a container's command runs as. */
export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  /** The primary group first, then those that list the user as a member. */
  readonly additionalGids: readonly number[];
  /** `/` where /etc/passwd has none. */
  readonly home: string;
}

/** The last id: the one above is -1 to the kernel. */
export const idLast = 0xffff_fffe;

/** Limits on files that an image brings. What is longer is not read, as if it were not there. */
const limits = { characters: 8 * 1024 * 1024, lineCharacters: 65536 } as const;

function fieldsOf(text: string): string[][] {
  return text
    .slice(0, limits.characters)
    .split('\n')
    .filter(
      (line) => line !== '' && line.length <= limits.lineCharacters && !line.startsWith('#') && !line.includes('\0'),
    )
    .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line).split(':'));
}

/** The id that a field holds; undefined for what is none. Never rounds, wraps or guesses. */
export function parseId(field: string | undefined): number | undefined {
  if (field === undefined || !/^[0-9]{1,10}$/.test(field)) return undefined;
  const id = Number(field);
  return id <= idLast ? id : undefined;
}

/** The entries of a passwd file; lines that are malformed are skipped, as every reader of it does. */
export function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const [name = '', , uidField, gidField, , home = ''] of fieldsOf(text)) {
    const uid = parseId(uidField);
    const gid = parseId(gidField);
    if (name !== '' && uid !== undefined && gid !== undefined) entries.push({ name, uid, gid, home });
  }
  return entries;
}

/** The entries of a group file; lines that are malformed are skipped. */
export function parseGroup(text: string): GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const [name = '', , gidField, members = ''] of fieldsOf(text)) {
    const gid = parseId(gidField);
    if (name !== '' && gid !== undefined) {
      entries.push({ name, gid, members: members.split(',').filter((member) => member !== '') });
    }
  }
  return entries;
}

/** Why a string is no `user`, `uid`, `user:group`, …, as the end of a sentence; undefined when it is one. */
export function userFault(user: string): string | undefined {
  const parts = user.split(':');
  if (parts.length > 2) return 'must be USER or USER:GROUP';
  for (const part of parts) {
    if (part === '') return 'must have a name or number on both sides of ":"';
    // Digits alone are never a name: whoever could add such a line to a passwd file would choose the uid.
    if (/^[0-9]+$/.test(part) && parseId(part) === undefined) return `must have ids from 0 to ${idLast}`;
    if (/[\s/,\0]/.test(part) || part.startsWith('-') || part.length > 256) return 'must have names or numbers';
  }
  return undefined;
}

/**
 * The ids that `user` stands for in an image, by Docker's rules: a number is taken as it is, and needs no entry; a name
 * needs one. `passwd` and `group` are the texts of the image's files, undefined where it has none. An empty `user` is
 * root. Throws ERR_SPEC for everything else.
 */
export function resolveUser(user: string, passwd: string | undefined, group: string | undefined): ResolvedUser {
  const fault = user === '' ? undefined : userFault(user);
  if (fault !== undefined) refuse(user, `user ${fault}, not ${JSON.stringify(user.slice(0, 80))}`);
  const [name = '', groupName] = (user === '' ? '0' : user).split(':');
  const number = parseId(name);
  const entry = parsePasswd(passwd ?? '').find((line) =>
    number === undefined ? line.name === name : line.uid === number,
  );
  const uid = entry?.uid ?? number;
  if (uid === undefined) {
    const why = passwd === undefined ? 'has no /etc/passwd' : 'has no such user in its /etc/passwd';
    return refuse(user, `there is no user ${JSON.stringify(name)}: the image ${why}`);
  }
  const groups = parseGroup(group ?? '');
  const home = entry?.home || '/';
  if (groupName !== undefined) {
    const gid = resolveGroup(user, groupName, groups, group !== undefined);
    return { uid, gid, additionalGids: [gid], home };
  }
  const gid = entry?.gid ?? 0;
  const memberships = entry === undefined ? [] : groups.filter(({ members }) => members.includes(entry.name));
  // The primary group is among them, or a set-gid program could drop it, and with it the denial that a file's mode
  // gives to that group (CVE-2022-36109).
  const additionalGids = [...new Set([gid, ...memberships.map((line) => line.gid)])];
  return { uid, gid, additionalGids, home };
}

function resolveGroup(user: string, name: string, groups: readonly GroupEntry[], hasFile: boolean): number {
  const gid = parseId(name) ?? groups.find((line) => line.name === name)?.gid;
  if (gid !== undefined) return gid;
  const why = hasFile ? 'has no such group in its /etc/group' : 'has no /etc/group';
  return refuse(user, `there is no group ${JSON.stringify(name)}: the image ${why}`);
}

function refuse(user: string, message: string): never {
  throw new RuntsError('ERR_SPEC', `cannot run as ${JSON.stringify(user.slice(0, 80))}: ${message}`, {
    origin: '/user',
    issues: [{ path: '/user', message }],
    hint: 'Give a user that the image has, or ids as numbers: 1000:1000.',
  });
}

/** The ranges of /etc/subuid or /etc/subgid that belong to a user, by name or by number, in the order of the file. */
export function parseSubordinate(text: string, user: string | undefined, uid: number): SubordinateRange[] {
  const ranges: SubordinateRange[] = [];
  for (const [owner = '', startField, countField] of fieldsOf(text)) {
    if (owner === '' || (owner !== user && owner !== String(uid))) continue;
    const start = parseId(startField);
    const count = parseId(countField);
    if (start === undefined || count === undefined || count === 0 || start + count - 1 > idLast) continue;
    ranges.push({ start, count });
  }
  return ranges;
}
