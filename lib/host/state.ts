import { RuntsError } from '../errors.ts';
import { bounded } from './bounded.ts';
import type { Cancel } from './cancel.ts';
import { errnoOf } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { mustBePrivate } from './private.ts';
import { frameDeadlineMs } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';

/** A container id that is ours alone, and its directory. */
export interface Reservation {
  readonly id: string;
  readonly directory: string;
  release(): Promise<void>;
}

/** Reserving and releasing are short; a wait longer than this means that somebody stopped in the middle. */
const turnMs = 10_000;
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}$/;

/**
 * Makes `<stateDirectory>/<id>` and holds a lock in it, so that no other process has a container of this id. A directory
 * whose lock nobody holds was left by a process that died: it is emptied and taken over.
 */
export async function reserve(host: Host, id: string, cancel?: Cancel): Promise<Reservation> {
  if (!idPattern.test(id)) {
    throw new RuntsError('ERR_SPEC', `the id ${JSON.stringify(id)} is not a name`, {
      hint: 'An id has 1 to 128 letters, digits, and _ . + -, and begins with a letter or digit.',
    });
  }
  const steady = bounded(host, { deadlineMs: frameDeadlineMs });
  const ports = bounded(host, { deadlineMs: frameDeadlineMs, cancel });
  const root = host.environment.stateDirectory;
  const directory = `${root}/${id}`;
  await makeIfMissing(ports, root);
  await mustBePrivate(ports, root, 'the state directory');
  const lock = await inTurn(ports, () => take(ports, steady, directory, id));
  return { id, directory, release: () => inTurn(steady, () => letGo(steady, directory, lock)) };
}

async function take(host: Host, steady: Host, directory: string, id: string): Promise<Handle> {
  const undo = new Undo();
  const made = await makeIfMissing(host, directory);
  if (made) undo.add(() => steady.files.removeDirectory(directory));
  try {
    if (made) undo.add(() => steady.files.removeFile(lockIn(directory)).catch(unlessMissing));
    const lock = await host.files.lock(lockIn(directory)).catch((error: unknown) => {
      if (!isTaken(error)) throw error;
      throw new RuntsError('ERR_EXISTS', `there is a container with the id ${id} already`, { cause: error });
    });
    undo.add(() => lock.close());
    if (!made) await takeOver(host, directory, id);
    return lock;
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

async function letGo(host: Host, directory: string, lock: Handle): Promise<void> {
  try {
    await empty(host, directory);
    await host.files.removeFile(lockIn(directory));
    await host.files.removeDirectory(directory);
  } finally {
    lock.close();
  }
}

/** What has a record is a container of the command line, which is nobody's to take over, running or not. */
async function takeOver(host: Host, directory: string, id: string): Promise<void> {
  if ((await host.files.kind(`${directory}/state.json`)) !== undefined) {
    throw new RuntsError('ERR_EXISTS', `there is a container with the id ${id} already`, {
      hint: `\`runts delete ${id}\` removes it.`,
    });
  }
  await empty(host, directory);
}

async function empty(host: Host, directory: string): Promise<void> {
  for (const name of await host.files.list(directory)) {
    if (name !== 'lock') await host.files.removeFile(`${directory}/${name}`);
  }
}

/** One at a time over all processes: a lock file cannot be removed while another process may just be taking it. */
async function inTurn<T>(host: Host, work: () => Promise<T>): Promise<T> {
  // Not a name that an id can have.
  const turn = await untilFree(host, `${host.environment.stateDirectory}/.lock`);
  try {
    return await work();
  } finally {
    turn.close();
  }
}

async function untilFree(host: Host, path: string): Promise<Handle> {
  const { clock, files } = host;
  const start = clock.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    try {
      return await files.lock(path);
    } catch (error) {
      if (!isTaken(error)) throw error;
      if (clock.now() - start >= turnMs) {
        throw new RuntsError('ERR_TIMEOUT', `${path} was held by another process for ${turnMs} ms`, { cause: error });
      }
    }
    await clock.after(pauseMs).done;
  }
}

async function makeIfMissing(host: Host, path: string): Promise<boolean> {
  try {
    await host.files.makeDirectory(path, 0o700);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    if (RuntsError.is(error)) throw error;
    throw new RuntsError('ERR_SETUP', `cannot make the state directory ${path}: ${errnoOf(error) ?? String(error)}`, {
      hint: 'It must be in a directory that exists and that this user may write to ($XDG_RUNTIME_DIR, or /run as root).',
      cause: error,
    });
  }
}

const lockIn = (directory: string) => `${directory}/lock`;
const isTaken = (error: unknown) => ['EWOULDBLOCK', 'EAGAIN'].includes(errnoOf(error) ?? '');

function unlessMissing(error: unknown): void {
  if (errnoOf(error) !== 'ENOENT') throw error;
}
