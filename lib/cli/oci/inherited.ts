import { RuntsError } from '../../errors.ts';
import type { Mount, Process, Spec } from '../../spec/types.ts';
import type { World } from '../world.ts';

/** What systemd hands to the programs that it starts, which a container is to get in our place. */
export interface Inherited {
  /** How many sockets stand at 3 and above (sd_listen_fds(3)). */
  readonly listenFds: number;
  readonly listenNames: string | undefined;
  /** The socket for sd_notify(3), where it has a path. */
  readonly notifySocket: string | undefined;
}

/** Where the container finds the socket for sd_notify. */
const notifyInside = '/run/notify/notify.sock';

export function inherited({ variable }: Pick<World, 'variable'>): Inherited {
  const text = variable('LISTEN_FDS');
  if (text !== undefined && text !== '' && !/^[0-9]{1,6}$/.test(text)) {
    throw new RuntsError('ERR_SPEC', `LISTEN_FDS must be a number, not ${JSON.stringify(text)}`, {
      hint: 'It is a variable of our environment; unset it if no sockets are passed.',
    });
  }
  const notify = variable('NOTIFY_SOCKET');
  return {
    listenFds: Number(text ?? 0),
    listenNames: variable('LISTEN_FDNAMES'),
    notifySocket: notify?.startsWith('/') ? notify : undefined,
  };
}

/** The process with the variables that tell it of its sockets: it is the first of its pid namespace. */
export function withSockets(process: Process, { listenFds, listenNames }: Inherited): Process {
  if (listenFds === 0) return process;
  const env = [
    ...(process.env ?? []),
    `LISTEN_FDS=${listenFds}`,
    'LISTEN_PID=1',
    ...(listenNames === undefined ? [] : [`LISTEN_FDNAMES=${listenNames}`]),
  ];
  return { ...process, env };
}

/** The configuration with what our own environment adds to it. */
export async function withInherited(
  spec: Spec,
  world: Pick<World, 'variable' | 'host'>,
  warn: (message: string) => void,
): Promise<Spec> {
  const found = inherited(world);
  const { process, mounts = [] } = spec;
  if (process === undefined) return spec;
  const listening = { ...spec, process: withSockets(process, found) };
  if (found.notifySocket === undefined) return listening;
  // A variable that is left over from somebody else's life keeps no container from its own.
  if ((await world.host.files.kind(found.notifySocket)) !== 'other') {
    warn(`NOTIFY_SOCKET of our environment is no socket, and the container gets none: ${found.notifySocket}`);
    return listening;
  }
  const socket: Mount = {
    destination: notifyInside,
    type: 'bind',
    source: found.notifySocket,
    options: ['bind', 'nosuid', 'noexec', 'nodev'],
  };
  const env = [...(listening.process.env ?? []), `NOTIFY_SOCKET=${notifyInside}`];
  return { ...listening, mounts: [...mounts, socket], process: { ...listening.process, env } };
}
