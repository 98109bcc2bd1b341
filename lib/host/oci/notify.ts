import { RuntsError } from '../../errors.ts';
import { encodeUtf8 } from '../../program/utf8.ts';
import { notifies, type SeccompProfile as Profile } from '../../seccomp/profile.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { SeccompProfile } from '../../spec/types.ts';
import { errnoOf } from '../failure.ts';
import type { Handle, Host } from '../host.ts';
import { messageOf } from '../undo.ts';
import type { State } from './state.ts';

/** The version of the message, which agents know by the example of the specification. */
const messageVersion = '0.2.0';

/**
 * Sends the listener of seccomp notifications to the agent at `listenerPath`, with the state of the container process as
 * the runtime specification has it (config-linux.md, "The Container Process State"). `pid` is that of the process under the
 * filter, which need not be the container's first.
 */
export async function deliverListener(
  host: Host,
  seccomp: SeccompProfile,
  { state, pid, warn }: { readonly state: State; readonly pid: number; readonly warn: (message: string) => void },
  listener: Handle,
): Promise<void> {
  const path = String(seccomp['listenerPath'] ?? '');
  const metadata = seccomp['listenerMetadata'];
  const { ociVersion, id, status, bundle, annotations } = state;
  const message = {
    ociVersion: messageVersion,
    fds: ['seccompFd'],
    pid,
    ...(typeof metadata === 'string' && metadata !== '' && { metadata }),
    state: { ociVersion, id, status, pid: state.pid, bundle, annotations },
  };
  try {
    await host.sockets.deliver(path, encodeUtf8(stringifyJson(message)), [listener]);
  } catch (error) {
    const why = `failed to connect with seccomp agent at ${path}: ${errnoOf(error) ?? messageOf(error)}`;
    // Nothing waits for an answer then, and the specification has the path ignored.
    if (!notifies(seccomp as unknown as Profile)) return warn(why);
    throw new RuntsError('ERR_SETUP', why, {
      origin: '/linux/seccomp/listenerPath',
      hint: 'An agent must listen there, at a unix stream socket, before the container is started.',
      cause: error,
    });
  }
}
