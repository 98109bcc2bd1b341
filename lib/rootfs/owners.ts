import { RuntsError } from '../errors.ts';
import type { IdMap } from '../plan/plan.ts';
import { idmapOption } from '../spec/id-maps.ts';
import type { IdMapping, Mount } from '../spec/types.ts';
import type { MountOptions } from './options.ts';
import { isMapped, type OwnerMaps, type Site } from './site.ts';

const toIdMap = ({ containerID, hostID, size }: IdMapping): IdMap => ({ container: containerID, host: hostID, size });

/**
 * The maps through which the owners of a bind's files are seen: the mount's own, those of the option `idmap=…`, or those
 * of the container; undefined where none are asked for. In all of them `container` is the id in the file system, and
 * `host` the one that it is seen as (config.md, user namespace mappings).
 */
export function ownerMaps(site: Site, mount: Mount, options: MountOptions, origin: string): OwnerMaps | undefined {
  const { uidMappings = [], gidMappings = [] } = mount;
  const own = uidMappings.length > 0 || gidMappings.length > 0;
  if (!own && options.idmap === 'none') return undefined;
  if (!site.facts.privileged) {
    const why = 'EPERM (operation not permitted): its file system was mounted by root of the host, who alone may';
    throw new RuntsError('ERR_UNSUPPORTED', `cannot map the owners of the mount on ${mount.destination}: ${why}`, {
      origin,
      hint: 'It takes CAP_SYS_ADMIN where the file system was mounted (mount_setattr(2)): leave uidMappings, gidMappings and idmap of this mount away, or run as root.',
    });
  }
  const recursive = options.idmap === 'recursive';
  if (own) return { uids: uidMappings.map(toIdMap), gids: gidMappings.map(toIdMap), recursive };
  if (options.idmapText !== undefined) return { ...mapsOfOption(site, options.idmapText, origin), recursive };
  if (site.maps !== undefined) return { uids: site.maps.uids, gids: site.maps.gids, recursive };
  throw new RuntsError('ERR_UNSUPPORTED', `cannot map the owners of the mount on ${mount.destination}`, {
    origin,
    hint: 'Without maps of its own, idmap takes those of a new user namespace of the container, and there is none.',
  });
}

/** crun's option: ids after `@` are the container's, so the host's are those that it has for them. */
function mapsOfOption(site: Site, text: string, origin: string): Omit<OwnerMaps, 'recursive'> {
  const read = idmapOption(text);
  if (read === undefined) throw new RuntsError('ERR_INTERNAL', `idmap=${text} was not checked`, { origin });
  const resolve = (kind: 'uids' | 'gids') =>
    read[kind].map(({ relative, ...map }) => (relative ? outside(site, kind, map, origin) : map));
  return { uids: resolve('uids'), gids: resolve('gids') };
}

/** A line whose second id is the container's, with the host's instead. */
function outside(site: Site, kind: 'uids' | 'gids', map: IdMap, origin: string): IdMap {
  const line = site.maps?.[kind].find(
    ({ container, size }) => map.host >= container && map.host + map.size <= container + size,
  );
  if (line !== undefined) return { ...map, host: line.host + map.host - line.container };
  if (site.maps === undefined && isMapped(site, kind, map.host)) return map;
  throw new RuntsError('ERR_SPEC', `cannot map owners: ${kind} ${map.host} and on are not mapped in the container`, {
    origin: `${origin}/options`,
  });
}
