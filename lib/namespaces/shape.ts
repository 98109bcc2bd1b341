import { RuntsError } from '../errors.ts';
import { type NamespaceType, namespaceFlags } from '../spec/names.ts';
import type { Namespace } from '../spec/types.ts';

/** A namespace that exists, and is entered before anything is made. */
export interface Joined {
  readonly type: NamespaceType;
  readonly path: string;
  readonly origin: string;
}

/**
 * How the user namespace comes to be: by the clone; by the init itself, once it has done what takes the host's rights;
 * it is somebody else's; or there is none but the host's.
 */
export type UserNamespace = 'clone' | 'unshare' | 'join' | 'host';

/** How the init comes into its namespaces. */
export interface SpawnShape {
  /** CLONE_NEW* flags of the clone. */
  readonly flags: number;
  /** CLONE_NEW* flags of what the init makes by itself, but for its user namespace and what it makes right before its reaper. */
  readonly unshared: number;
  readonly user: UserNamespace;
  /** It leaves the mounts of the host before it mounts anything, with what it takes of them in its hands. */
  readonly leaves: boolean;
  /** The types that this container has one of its own of. */
  readonly created: ReadonlySet<NamespaceType>;
  readonly joined: readonly Joined[];
  /** PID and time namespaces that are joined, or made by unshare(2), are entered by a child: the init goes on in one. */
  readonly forks: boolean;
  /** When the new time namespace is made: with the others that the init makes, before all, or right before the reaper. */
  readonly time: 'none' | 'unshared' | 'first' | 'reaper';
}

export interface SpawnAbility {
  readonly privileged: boolean;
  /** The init stays as process 1, so there is a fork before the command. */
  readonly reap: boolean;
  /** The clocks of the new time namespace are to be set. */
  readonly offsets?: boolean | undefined;
  /** Something is to be done with the host's rights before they are given up for those in a user namespace. */
  readonly before?: boolean | undefined;
  /** The init leaves the mounts of the host by itself. */
  readonly leaves?: boolean | undefined;
}

/** Decides how the namespaces of a configuration come to be, or says why they cannot. */
export function spawnShape(namespaces: readonly Namespace[], ability: SpawnAbility): SpawnShape {
  const created = new Set<NamespaceType>();
  const joined: Joined[] = [];
  namespaces.forEach(({ type, path }, i) => {
    if (path === undefined || path === '') created.add(type);
    else joined.push({ type, path, origin: `/linux/namespaces/${i}` });
  });
  const joins = (type: NamespaceType) => joined.some((other) => other.type === type);
  // An ordinary user can make nothing without one, so it gets one, as with most runtimes.
  if (!ability.privileged && !created.has('user') && !joins('user')) created.add('user');
  checkMounts(created, joined);
  const user = userNamespace(created, joined, ability);
  const time = timeNamespace(created, user, ability);
  const late = lateTypes(created, user, time, ability);
  const forks = joins('pid') || joins('time') || time === 'unshared' || time === 'first' || late.has('pid');
  return {
    flags: flagsOf(
      [...created].filter((type) => !late.has(type) && type !== 'time' && !(type === 'user' && user !== 'clone')),
    ),
    unshared: flagsOf([...late]),
    user,
    leaves: ability.leaves === true,
    created,
    joined,
    forks,
    time,
  };
}

const flagsOf = (types: readonly NamespaceType[]) => types.reduce((flags, type) => flags | namespaceFlags[type], 0);

function userNamespace(
  created: ReadonlySet<NamespaceType>,
  joined: readonly Joined[],
  { before }: SpawnAbility,
): UserNamespace {
  if (joined.some(({ type }) => type === 'user')) return 'join';
  if (!created.has('user')) return 'host';
  // setns(2) wants CAP_SYS_ADMIN in the user namespace that owns the one to enter, and ours is going to be a child of it.
  return joined.length > 0 || before ? 'unshare' : 'clone';
}

function timeNamespace(
  created: ReadonlySet<NamespaceType>,
  user: UserNamespace,
  { privileged, reap, offsets }: SpawnAbility,
): SpawnShape['time'] {
  if (!created.has('time')) return 'none';
  if (offsets && (user === 'unshare' || user === 'join')) {
    // Our entries of /proc belong to the root that we were when we were executed, so the clocks are set before.
    if (privileged) return 'first';
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot set the clocks of a time namespace: an ordinary user can in a user namespace that is made by the clone, and not beside namespaces that are joined',
      { origin: '/linux/timeOffsets', hint: 'Leave away the offsets, or the paths of the namespaces.' },
    );
  }
  return reap ? 'reaper' : 'unshared';
}

/** What the clone leaves to the init. */
function lateTypes(
  created: ReadonlySet<NamespaceType>,
  user: UserNamespace,
  time: SpawnShape['time'],
  { leaves }: SpawnAbility,
): ReadonlySet<NamespaceType> {
  const late = new Set<NamespaceType>();
  for (const type of created) {
    if (type === 'user') continue;
    // A new cgroup namespace begins where its maker is, and only we are in the container's cgroup: not who clones us.
    if (type === 'cgroup') late.add(type);
    else if (type === 'mount' && leaves) late.add(type);
    else if (type === 'time') {
      if (time === 'unshared') late.add(type);
      // The kernel refuses CLONE_PARENT to a process 1, which could thus not go on in a child: so it becomes one by that.
    } else if (type === 'pid' && (time === 'unshared' || time === 'first')) late.add(type);
    // What belongs to a user namespace is made in it.
    else if (user === 'unshare' || user === 'join') late.add(type);
  }
  return late;
}

function checkMounts(created: ReadonlySet<NamespaceType>, joined: readonly Joined[]): void {
  const mount = joined.find(({ type }) => type === 'mount');
  if (mount !== undefined) {
    // Whoever is in it has a root already: ours would be mounted over theirs, and stay.
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot join a mount namespace by path: it would get the mounts of the container',
      {
        origin: mount.origin,
        hint: 'Leave the path away: the container gets a mount namespace of its own.',
      },
    );
  }
  if (!created.has('mount')) {
    // Without one, every mount of the container would be one of the host, and stay.
    throw new RuntsError('ERR_UNSUPPORTED', 'a container needs a new mount namespace', {
      origin: '/linux/namespaces',
      hint: 'Add {"type": "mount"} to linux.namespaces.',
    });
  }
}
