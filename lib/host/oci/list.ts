import type { Host } from '../host.ts';
import { messageOf } from '../undo.ts';
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
export async function listContainers(host: Host, root: string): Promise<ListEntry[]> {
  const names = (await host.files.kind(root)) === 'directory' ? await host.files.list(root) : [];
  const entries = await Promise.all(
    names
      .filter((name) => !name.startsWith('.'))
      .sort()
      .map((name) => look(host, root, name)),
  );
  return entries.filter((entry) => entry !== undefined);
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
