import { RuntsError } from '../errors.ts';
import type { Maps } from '../plan/plan.ts';
import type { User } from '../spec/types.ts';

/** Who the command runs as. */
export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, as setgroups(2) takes them: u32, little-endian. */
  readonly groups: Uint8Array;
  /** The user namespace denies setgroups(2): the groups stay as they are. */
  readonly keepGroups: boolean;
}

export interface IdentityRules {
  /** Undefined where the container has no user namespace of its own: then every id is one of the host's. */
  readonly maps: Maps | undefined;
  /** The groups of whoever made the container stay, those that are asked for do not come: `keepsGroups`. */
  readonly keepGroups?: boolean | undefined;
  /** Nobody where we are may set groups, whatever the maps. */
  readonly groupsDenied?: boolean | undefined;
  readonly isMapped: (kind: 'uids' | 'gids', id: number) => boolean;
  /** How an ordinary user gets more ids. */
  readonly hint: string;
}

/** Whether a configuration asks, in the words of crun, for the supplementary groups of whoever makes the container. */
export const keepsGroups = (annotations: Readonly<Record<string, string>> = {}): boolean =>
  annotations['run.oci.keep_original_groups'] === '1';

/** Checks that every id exists in the container, before anything is made. */
export function identity(user: User, rules: IdentityRules): Identity {
  const { uid = 0, gid = 0, additionalGids = [] } = user;
  const keepGroups = rules.keepGroups || rules.groupsDenied === true || rules.maps?.setgroups === 'deny';
  checkId('uids', uid, '/process/user/uid', rules);
  checkId('gids', gid, '/process/user/gid', rules);
  if (keepGroups && !rules.keepGroups && additionalGids.length > 0) {
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      'cannot set additional groups: with a single id, the kernel denies setgroups',
      {
        origin: '/process/user/additionalGids',
        hint: rules.hint,
      },
    );
  }
  additionalGids.forEach((group, i) => {
    checkId('gids', group, `/process/user/additionalGids/${i}`, rules);
  });
  return { uid, gid, groups: keepGroups ? new Uint8Array(0) : words(additionalGids), keepGroups };
}

function checkId(kind: 'uids' | 'gids', id: number, origin: string, rules: IdentityRules): void {
  if (rules.maps === undefined || rules.isMapped(kind, id)) return;
  const mapped = rules.maps[kind].map(({ container, size }) =>
    size === 1 ? `${container}` : `${container}-${container + size - 1}`,
  );
  const what = kind === 'uids' ? 'user' : 'group';
  const message = `cannot run as ${what} ${id}: the container's user namespace has only ${mapped.join(', ')}`;
  const onlyOne = mapped.length === 1 && rules.maps[kind][0]!.size === 1;
  throw new RuntsError('ERR_UNSUPPORTED', message, { origin, hint: onlyOne ? rules.hint : `Map id ${id}.` });
}

function words(groups: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(groups.length * 4);
  const view = new DataView(bytes.buffer);
  groups.forEach((group, i) => {
    view.setUint32(i * 4, group, true);
  });
  return bytes;
}
