import { RuntsError } from '../../errors.ts';
import { encodeUtf8 } from '../../program/utf8.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import { messageOf } from '../undo.ts';

/** Sends the other end of a terminal to whoever listens at a console socket, as runc does: its name is the message. */
export const deliverConsole = (host: Host, path: string, console: Handle): Promise<void> =>
  sent(host, path, '/dev/ptmx', console, 'the console socket');

/** Sends a pidfd of a container's process. */
export const deliverPidfd = (host: Host, path: string, process: Handle): Promise<void> =>
  sent(host, path, 'pidfd', process, 'the pidfd socket');

async function sent(host: Host, path: string, message: string, handle: Handle, what: string): Promise<void> {
  try {
    await host.sockets.deliver(path, encodeUtf8(message), [handle]);
  } catch (error) {
    if (RuntsError.is(error)) throw error;
    throw new RuntsError('ERR_SETUP', `cannot send to ${what} ${path}: ${errnoOf(error) ?? messageOf(error)}`, {
      hint: 'It must be a unix stream socket at which somebody listens.',
      cause: error,
    });
  }
}

export async function writePidFile(host: Host, path: string, pid: number): Promise<void> {
  try {
    // Replacing it would take /dev/null from the whole host.
    const kind = await host.files.kind(path);
    if (kind !== undefined && kind !== 'file') {
      throw new RuntsError('ERR_SPEC', `cannot write the pid file ${path}: it is there, and is no file`, {
        hint: 'Name a file, or a name that is not there yet.',
      });
    }
    // One that is made leaves nothing where we are killed meanwhile; one that is replaced leaves what was to be its text.
    if (kind === 'file') await host.files.removeFile(path);
    await host.files.replace(path, `${pid}`);
  } catch (error) {
    if (RuntsError.is(error)) throw error;
    throw new RuntsError(
      'ERR_SETUP',
      `cannot write the pid file ${path}: ${String((error as Error).message ?? error)}`,
      {
        hint: 'Its directory must exist, and be writable.',
        cause: error,
      },
    );
  }
}

/**
 * Removes the pid file of a container that was not made to its end, and what a writer of it left that was killed (of a
 * container that was made, it belongs to whoever asked for it).
 */
export async function removePidFile(host: Host, path: string, pid: number | undefined): Promise<void> {
  const { files } = host;
  const at = path.lastIndexOf('/');
  const [directory, name] = [path.slice(0, at) || '/', path.slice(at + 1)];
  const written = await files.read(path).catch(() => undefined);
  if (pid !== undefined && written === `${pid}`) await files.removeFile(path).catch(() => undefined);
  const names = await files.list(directory).catch(() => []);
  const temporary = names.filter(
    (each) => each.startsWith(`${name}.`) && /^\.[0-9a-f]{12}\.tmp$/.test(each.slice(name.length)),
  );
  for (const each of temporary) await files.removeFile(`${directory}/${each}`).catch(() => undefined);
}
