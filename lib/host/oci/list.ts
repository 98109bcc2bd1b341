import type { Host } from '../host.ts';
import { messageOf } from '../undo.ts';
import { operation } from './operation.ts';
import { type State, stateOf, statusOf } from './state.ts';
import { openUnlocked, readRecord } from './store.ts';

/** A container, or what is left of one. */
export interface ListEntry {
  readonly id: string;
  /** Undefined where its record is missing or damaged. */
  readonly state: State | undefined;
  readonly problem?: string | undefined;
}

/** Every container below a state directory, by id; one that is damaged does not hide the others. */
export function listContainers(host: Host, root: string): Promise<ListEntry[]> {
  return operation(host, `list the containers below ${root}`, async (ports) => {
    const names = (await ports.files.kind(root)) === 'directory' ? await ports.files.list(root) : [];
    const ids = names.filter((name) => !name.startsWith('.')).sort();
    const entries = await Promise.all(ids.map((id) => look(ports, root, id)));
    return entries.filter((entry) => entry !== undefined);
  });
}

async function look(host: Host, root: string, id: string): Promise<ListEntry | undefined> {
  const entry = openUnlocked(root, id);
  try {
    const record = await readRecord(host, entry);
    if (record !== undefined) return { id, state: stateOf(record, await statusOf(host, entry, record)) };
    const kind = await host.files.kind(entry.directory);
    return kind === 'directory'
      ? { id, state: undefined, problem: 'it has no state: `delete --force` removes it' }
      : undefined;
  } catch (error) {
    return { id, state: undefined, problem: messageOf(error) };
  }
}
