import { RuntsError } from '../../errors.ts';
import { usedUp } from '../../hints.ts';
import { parseJson, stringifyJson } from '../../spec/json.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import { mustBePrivate } from '../private.ts';
import { messageOf } from '../undo.ts';
import type { Record } from './record.ts';

/** How long an operation waits for another one on the same container. */
const turnMs = 10_000;
const idPattern = /^[A-Za-z0-9_+.-]{1,255}$/;

/** The directory of one container below the state directory, and the lock on it where it was asked for. */
export interface Entry {
  readonly id: string;
  readonly directory: string;
  close(): void;
}

/** Letters, digits and `_ + - .`, as every OCI runtime has it; never a path. */
export function checkId(id: string): void {
  if (idPattern.test(id) && id !== '.' && id !== '..') return;
  throw new RuntsError('ERR_SPEC', `invalid container id format: ${JSON.stringify(id)}`, {
    hint: 'An id has 1 to 255 letters, digits, and _ + - . and is neither . nor ..',
  });
}

/** Makes the directory of a new container, which decides between two that want the same id, and takes its lock. */
export async function claim(host: Host, root: string, id: string): Promise<Entry> {
  checkId(id);
  await makeRoot(host, root);
  const directory = `${root}/${id}`;
  try {
    await host.files.makeDirectory(directory, 0o700);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw cannot(`make the state directory ${directory}`, error);
    throw new RuntsError('ERR_EXISTS', `container with given ID already exists: ${id}`, { cause: error });
  }
  try {
    return await locked(host, id, directory);
  } catch (error) {
    // Whoever waits for the lock longer than anybody may is not alone in there; otherwise it is ours, and empty.
    if (!RuntsError.is(error) || error.code !== 'ERR_TIMEOUT') await discard(host, { directory });
    throw error;
  }
}

/** The directory of a container that exists, with its lock. */
export async function openLocked(host: Host, root: string, id: string): Promise<Entry> {
  checkId(id);
  const directory = `${root}/${id}`;
  if ((await host.files.kind(directory)) !== 'directory') throw missing(id);
  await mustBePrivate(host, directory, 'the state of a container').catch((error: unknown) => {
    // Somebody deletes it.
    throw errnoOf(error) === 'ENOENT' ? missing(id) : error;
  });
  return locked(host, id, directory);
}

/** The same for a look at it, without the lock. */
export function openUnlocked(root: string, id: string): Entry {
  checkId(id);
  return { id, directory: `${root}/${id}`, close: () => undefined };
}

export const missing = (id: string) =>
  new RuntsError('ERR_NOT_FOUND', `container does not exist: ${id}`, { hint: '`runts list` shows those there are.' });

/** The record of a container; undefined where it has none, or none that can be read: it was killed at its beginning. */
export async function readRecord(host: Host, { directory }: Entry): Promise<Record | undefined> {
  const path = `${directory}/state.json`;
  try {
    const text = await host.files.read(path);
    // It says which process to signal, and whose namespaces to enter.
    await mustBePrivate(host, directory, 'the state of a container');
    const record = parseJson(text, path) as Partial<Record> | null;
    if (record?.version === 1) return record as Record;
    if (typeof record?.version !== 'number') throw new RuntsError('ERR_SPEC', `${path} is no record of a container`);
    // To take it for nothing would be to leave behind what it speaks of.
    throw new RuntsError('ERR_STATE', `${path} is not of this version of runts`, {
      hint: 'Whichever version made the container can remove it.',
    });
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw cannot(`read ${path}`, error);
  }
}

/** The record of a container that must be there. */
export async function theRecord(host: Host, entry: Entry): Promise<Record> {
  const record = await readRecord(host, entry);
  if (record === undefined) throw missing(entry.id);
  return record;
}

/** Sticky: who clears old files away below XDG_RUNTIME_DIR leaves those alone (XDG base directories, tmpfiles.d(5)). */
const keptMode = 0o1600;

/** Writes JSON into the directory of a container: whoever reads it sees all of the old or all of the new. */
export async function save(host: Host, { directory }: Entry, name: string, value: unknown): Promise<void> {
  try {
    await host.files.replace(`${directory}/${name}`, `${stringifyJson(value)}\n`, keptMode);
  } catch (error) {
    throw cannot(`write ${directory}/${name}`, error);
  }
}

export async function load(host: Host, { directory }: Entry, name: string): Promise<unknown> {
  const path = `${directory}/${name}`;
  try {
    return parseJson(await host.files.read(path), path);
  } catch (error) {
    throw cannot(`read ${path}`, error);
  }
}

export const saveRecord = (host: Host, entry: Entry, record: Record): Promise<void> =>
  save(host, entry, 'state.json', record);

/** Removes the directory of a container and the files in it, the record last but for the lock. */
export async function discard(host: Host, { directory }: Pick<Entry, 'directory'>): Promise<void> {
  const { files } = host;
  const names = await files.list(directory).catch(unlessMissing);
  const last = ['state.json', 'lock'];
  for (const name of [...(names ?? []).filter((n) => !last.includes(n)), ...last]) {
    await files.removeFile(`${directory}/${name}`).catch(unlessMissing);
  }
  await files.removeDirectory(directory).catch(unlessMissing);
}

async function locked(host: Host, id: string, directory: string): Promise<Entry> {
  const lock = await inTurn(host, directory);
  return { id, directory, close: () => lock.close() };
}

async function inTurn(host: Host, directory: string): Promise<Handle> {
  const { clock, files } = host;
  const start = clock.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    try {
      return await files.lock(`${directory}/lock`);
    } catch (error) {
      const errno = errnoOf(error) ?? '';
      if (errno === 'ENOENT') throw missing(directory.slice(directory.lastIndexOf('/') + 1));
      if (!['EWOULDBLOCK', 'EAGAIN'].includes(errno)) throw cannot(`lock ${directory}`, error);
      if (clock.now() - start >= turnMs) {
        throw new RuntsError('ERR_TIMEOUT', `${directory} was held by another operation for ${turnMs} ms`, {
          hint: 'A create whose hooks take long holds it; `ps` shows who is at work.',
          cause: error,
        });
      }
    }
    await clock.after(pauseMs).done;
  }
}

/** The state directory and what is missing above it, for us alone. */
async function makeRoot(host: Host, root: string): Promise<void> {
  try {
    const isThere = (await host.files.kind(root)) === 'directory';
    const parts = isThere ? [] : root.split('/').filter((part) => part !== '');
    for (let i = 1; i <= parts.length; i++) {
      const path = `/${parts.slice(0, i).join('/')}`;
      if ((await host.files.kind(path)) === 'directory') continue;
      await host.files.makeDirectory(path, 0o700).catch((error: unknown) => {
        if (errnoOf(error) !== 'EEXIST') throw error;
      });
    }
  } catch (error) {
    throw cannot(`make the state directory ${root}`, error);
  }
  await mustBePrivate(host, root, 'the state directory');
}

function cannot(doing: string, error: unknown): RuntsError {
  if (RuntsError.is(error)) return error;
  const errno = errnoOf(error);
  const writable =
    'The state directory must be writable; --root, or XDG_RUNTIME_DIR for an ordinary user, names another.';
  return new RuntsError('ERR_SETUP', `cannot ${doing}: ${errno ?? messageOf(error)}`, {
    hint: usedUp(errno ?? '') ?? writable,
    cause: error,
  });
}

function unlessMissing(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
  return undefined;
}
