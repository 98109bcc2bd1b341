import { RuntsError } from '../../errors.ts';
import { encodeUtf8 } from '../../program/utf8.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { SeccompProfile } from '../../spec/types.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import { messageOf } from '../undo.ts';
import type { State } from './state.ts';

/**
 * Sends the listener of seccomp notifications to the agent at `listenerPath`, with the state of the container process as
 * the runtime specification has it (config-linux.md, "The Container Process State").
 */
export async function deliverListener(
  host: Host,
  seccomp: SeccompProfile,
  state: State,
  listener: Handle,
): Promise<void> {
  const path = String(seccomp['listenerPath'] ?? '');
  const metadata = seccomp['listenerMetadata'];
  const { ociVersion, id, status, pid, bundle, annotations } = state;
  const message = {
    ociVersion,
    fds: ['seccompFd'],
    pid,
    ...(typeof metadata === 'string' && metadata !== '' && { metadata }),
    state: { ociVersion, id, status, pid, bundle, annotations },
  };
  try {
    await host.sockets.deliver(path, encodeUtf8(stringifyJson(message)), [listener]);
  } catch (error) {
    throw new RuntsError(
      'ERR_SETUP',
      `cannot send the seccomp listener to ${path}: ${errnoOf(error) ?? messageOf(error)}`,
      {
        origin: '/linux/seccomp/listenerPath',
        hint: 'An agent must listen there, at a unix stream socket, before the container is started.',
        cause: error,
      },
    );
  }
}
