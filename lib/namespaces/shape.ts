import { RuntsError } from '../errors.ts';
import { type NamespaceType, namespaceFlags } from '../spec/names.ts';
import type { Namespace } from '../spec/types.ts';

/** A namespace that exists, and is entered right after the clone. */
export interface Joined {
  readonly type: NamespaceType;
  readonly path: string;
  readonly origin: string;
}

/** How the init comes into its namespaces: the clone makes the new ones, `join` enters the others. */
export interface SpawnShape {
  /** CLONE_NEW* flags of the clone. */
  readonly flags: number;
  /** The types that this container has one of its own of. */
  readonly created: ReadonlySet<NamespaceType>;
  readonly joined: readonly Joined[];
  /** A new time namespace: clone(2) beside CLONE_VM refuses it, so it is unshared and entered by the next fork. */
  readonly time: boolean;
}

export interface SpawnAbility {
  readonly privileged: boolean;
  /** The init stays as process 1, so there is a fork before the command. */
  readonly reap: boolean;
}

/** Decides how the namespaces of a configuration come to be, or says why they cannot. */
export function spawnShape(namespaces: readonly Namespace[], ability: SpawnAbility): SpawnShape {
  const created = new Set<NamespaceType>();
  const joined: Joined[] = [];
  namespaces.forEach(({ type, path }, i) => {
    if (path === undefined || path === '') created.add(type);
    else joined.push({ type, path, origin: `/linux/namespaces/${i}` });
  });
  checkShape(created, joined, ability);
  let flags = 0;
  for (const type of created) if (type !== 'time') flags |= namespaceFlags[type];
  return { flags, created, joined, time: created.has('time') };
}

const describeNamespace = (type: NamespaceType) => `${type === 'pid' ? 'PID' : type} namespace`;

/** Types that are entered by setns(2) alone; the others need id maps, a fork, or a root that is not ours to change. */
const joinable: ReadonlySet<NamespaceType> = new Set<NamespaceType>(['network', 'ipc', 'uts', 'cgroup']);

function checkShape(created: ReadonlySet<NamespaceType>, joined: readonly Joined[], ability: SpawnAbility): void {
  for (const { type, origin } of joined) {
    if (!joinable.has(type)) {
      throw new RuntsError('ERR_UNSUPPORTED', `cannot join a ${describeNamespace(type)} by path`, {
        origin,
        hint: 'Leave the path away to get a new one. Namespaces of network, ipc, uts and cgroup can be joined.',
      });
    }
    // setns(2) wants CAP_SYS_ADMIN in the user namespace that owns the one to enter, and ours will be a new child of it.
    if (created.has('user')) {
      const message = `cannot join a ${describeNamespace(type)} by path from within a new user namespace`;
      throw new RuntsError('ERR_UNSUPPORTED', message, {
        origin,
        hint: 'Leave out either the path or the user namespace.',
      });
    }
  }
  if (!created.has('mount')) {
    // Without one, every mount of the container would be one of the host, and stay.
    throw new RuntsError('ERR_UNSUPPORTED', 'a container needs a new mount namespace', {
      origin: '/linux/namespaces',
      hint: 'Add {"type": "mount"} to linux.namespaces.',
    });
  }
  if (!created.has('user') && !ability.privileged) {
    throw new RuntsError('ERR_UNSUPPORTED', 'an ordinary user cannot make a container without a new user namespace', {
      origin: '/linux/namespaces',
      hint: 'Add {"type": "user"} to linux.namespaces, or run as root.',
    });
  }
  if (created.has('time') && !ability.reap) {
    // The op `fork` cannot help: the kernel refuses CLONE_PARENT to the first process of a PID namespace.
    throw new RuntsError('ERR_UNSUPPORTED', 'a time namespace is entered by a child only, and there is none', {
      origin: '/linux/namespaces',
      hint: 'Let the init stay as process 1 (init: true).',
    });
  }
}
