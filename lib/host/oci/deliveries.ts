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
