import type { Issue } from '../errors.ts';
import { idMapFaults, idMappings, idmapOption } from './id-maps.ts';
import { pointerOf } from './pointer.ts';
import type { Rule } from './rules.ts';
import { anyText, list, object, required, show, someText } from './shape.ts';
import type { Mount } from './types.ts';

/** The fields of `mounts`, one by one. */
export const mountsShape = list(
  object({
    destination: required(someText),
    type: anyText,
    source: anyText,
    options: list(someText),
    uidMappings: idMappings,
    gidMappings: idMappings,
  }),
);

/** Whether a mount makes something visible in a second place, rather than a file system of its own. */
export function isBind(mount: Mount): boolean {
  const options = mount.options ?? [];
  return mount.type === 'bind' || options.includes('bind') || options.includes('rbind');
}

/** A rule on each mount, whose issues stand below it. */
function each(check: (mount: Mount, own: boolean) => readonly Issue[]): Rule {
  return {
    needs: ['/mounts', '/linux/namespaces'],
    check: ({ mounts = [], linux }) => {
      const own = linux.namespaces.some(({ type }) => type === 'user');
      return mounts.flatMap((mount, i) =>
        check(mount, own).map(({ path, message }) => ({ path: pointerOf('mounts', i) + path, message })),
      );
    },
  };
}

/** What must hold between the fields of a mount. */
export const mountRules: readonly Rule[] = [
  each(({ uidMappings, gidMappings }) =>
    (uidMappings === undefined) === (gidMappings === undefined)
      ? []
      : [{ path: '', message: 'uidMappings and gidMappings are given together or not at all' }],
  ),
  each((mount) =>
    mount.uidMappings !== undefined && !isBind(mount)
      ? [{ path: '/uidMappings', message: 'only bind mounts can have id mappings' }]
      : [],
  ),
  each((mount) =>
    (mount.options ?? []).flatMap((option, i) => {
      // Most are something else, which is told without an expression.
      const match = option.includes('idmap') ? /^r?idmap(=|$)(.*)$/s.exec(option) : null;
      if (match === null) return [];
      const path = pointerOf('options', i);
      if (!isBind(mount)) return [{ path, message: 'only bind mounts can have id mappings' }];
      if (match[1] === '') return [];
      if (mount.uidMappings !== undefined) return [{ path, message: 'the mount has uidMappings already' }];
      if (idmapOption(match[2]!) !== undefined) return [];
      return [{ path, message: `must be like "idmap=uids=0-1000-10;gids=0-1000-10", not ${show(option)}` }];
    }),
  ),
  each(({ uidMappings, gidMappings, options = [] }, own) =>
    (options.includes('idmap') || options.includes('ridmap')) &&
    uidMappings === undefined &&
    gidMappings === undefined &&
    !own
      ? [
          {
            path: '/options',
            message: 'idmap without uidMappings takes those of the user namespace, and there is none',
          },
        ]
      : [],
  ),
  each(({ uidMappings = [], gidMappings = [] }) => [
    ...idMapFaults(uidMappings, '/uidMappings'),
    ...idMapFaults(gidMappings, '/gidMappings'),
  ]),
];

/** What is allowed and yet probably not what was meant. */
export function mountWarnings(mounts: readonly Mount[]): Issue[] {
  return mounts.flatMap(({ destination }, i) =>
    destination.startsWith('/')
      ? []
      : [{ path: pointerOf('mounts', i, 'destination'), message: `is relative, and taken for "/${destination}"` }],
  );
}
