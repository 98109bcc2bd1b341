import type { State } from '../../host/oci/state.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { Command } from '../command.ts';
import { onlyId } from './common.ts';

/** `runts state`. */
export const state: Command = {
  synopsis: ['ID'],
  text: `Prints ociVersion, id, pid (0 where it has stopped), status (creating, created, running, paused or stopped), bundle,
rootfs, created, annotations and owner.`,
  flags: {},
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, { world, root }) {
    const id = onlyId('state', parsed);
    const { containerState } = await import('../../host/oci/state.ts');
    world.print(`${stringifyJson(shownState(await containerState(world.host, root, id)), 2)}\n`);
    return 0;
  },
};

/** The fields in the order in which runc prints them, which some callers compare. */
export function shownState({ ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner }: State) {
  const noted = Object.keys(annotations).length > 0 ? annotations : undefined;
  return { ociVersion, id, pid, status, bundle, rootfs, created, annotations: noted, owner };
}
