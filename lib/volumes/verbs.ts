import type { Host } from '../host/host.ts';
import { usualMaps } from '../host/image.ts';
import { probeFacts } from '../host/probe.ts';
import type { VolumePort } from '../host/volumes.ts';
import type { Facts } from '../plan/facts.ts';
import { parseVolumeFilters } from './filter.ts';
import { volumePort } from './port.ts';
import type { Volume } from './volume.ts';
import { Volumes } from './volumes.ts';

/** Volumes as the command line has them: with its host, and the facts that it found out for itself. */
function commandLineVolumes(host: Host): Volumes {
  let facts: Promise<Facts> | undefined;
  const maps = async () => {
    facts ??= probeFacts(host);
    return usualMaps(await facts).stored;
  };
  return new Volumes({ host, maps });
}

/** Volumes for containers that the command line makes. */
export const commandLinePort = (host: Host): VolumePort => volumePort(commandLineVolumes(host), host);

interface Words {
  readonly name: string | undefined;
  readonly driver: string | undefined;
  readonly options: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** What the commands about volumes do, by the names that they have for it. */
export function volumeVerbs(host: Host) {
  const volumes = commandLineVolumes(host);
  return {
    async create({ options, ...words }: Words) {
      const isGiven = Object.keys(options).length > 0;
      return shown(await volumes.create({ ...words, ...(isGiven && { options }) }));
    },
    async list(filters: readonly string[]) {
      const found = await volumes.survey(parseVolumeFilters(filters, ['dangling', 'driver', 'name', 'label']));
      return { volumes: found.volumes.map(shown), warnings: found.warnings };
    },
    inspect: async (name: string) => shown(await volumes.get(name)),
    remove: (name: string, force: boolean) => volumes.remove(name, { force }),
    prune(all: boolean, filters: readonly string[]) {
      const { all: asked = false, ...filter } = parseVolumeFilters(filters, ['label', 'all']);
      return volumes.prune({ ...filter, all: all || asked });
    },
  };
}

const shown = ({ name, driver, mountpoint, options, labels, scope, created, containers, status }: Volume) => ({
  CreatedAt: created?.toISOString() ?? '',
  Driver: driver,
  Labels: labels,
  Mountpoint: mountpoint,
  Name: name,
  Options: options,
  Scope: scope,
  ...(status !== undefined && { Status: status }),
  Containers: containers,
});
