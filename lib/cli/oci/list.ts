import type { ListEntry } from '../../host/oci/list.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { Command } from '../command.ts';
import { type Flags, isOn } from '../parse.ts';
import { choice, noWords, table } from './common.ts';
import { shownState } from './state.ts';

const flags: Flags = {
  format: { names: ['--format', '-f'], value: 'FORMAT', choices: ['table', 'json'], doc: 'table (default) or json' },
  quiet: { names: ['--quiet', '-q'], doc: 'only the ids, one a line' },
};

/** `runts list`. */
export const list: Command = {
  synopsis: ['[OPTIONS]'],
  text: 'Prints the containers below the state directory (--root). One that is damaged is in it, with the status unknown.',
  flags,
  grammar: { anywhere: true, lenient: true },
  async main(parsed, { world, root, log }) {
    noWords('list', parsed);
    const format = choice(parsed, flags, 'format', 'table');
    const { listContainers } = await import('../../host/oci/list.ts');
    const entries = await listContainers(world.host, root);
    for (const { id, problem } of entries) if (problem !== undefined) log.warn(`container ${id}: ${problem}`);
    if (isOn(parsed, 'quiet')) world.print(entries.map(({ id }) => `${id}\n`).join(''));
    else world.print(format === 'json' ? asJson(entries) : asTable(entries));
    return 0;
  },
};

const asJson = (entries: readonly ListEntry[]): string =>
  `${stringifyJson(entries.map(({ id, state }) => (state === undefined ? { id, pid: 0, status: 'unknown' } : shownState(state))))}\n`;

function asTable(entries: readonly ListEntry[]): string {
  const rows = entries.map(({ id, state }) =>
    state === undefined
      ? [id, '0', 'unknown', '', '', '']
      : [id, String(state.pid), state.status, state.bundle, state.created, state.owner],
  );
  return table([['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'], ...rows]);
}
