import { RuntsError } from '../errors.ts';
import type { Sockets } from '../host/host.ts';
import { systemError } from '../node/failure.ts';
import { directoryOf } from './files.ts';
import { openFile, openHandle } from './handle.ts';
import { sleep } from './loop.ts';
import { type NativeHandle, newHandle } from './native.ts';
import { SocketStream } from './stream.ts';
import { bytesOf, call, errno, isType, must, o, stat, system, types } from './system.ts';

/** How often, and how long after one another, a socket that more wait at than it takes is tried. */
const attemptsMax = 500;
const attemptEveryMs = 10;
const backlog = 64;
const refused = 111; // ECONNREFUSED
const unix = 1;
const kinds = { stream: 1, packets: 5 } as const;
const addressBytesMax = 108;

/** The port `Sockets`. */
export const sockets: Sockets = {
  async listen(path) {
    checkPath(path);
    // The address of a socket has 108 bytes, and a path of ours has as many as it likes.
    const directory = openFile(directoryOf(path), o.readonly | o.directory);
    try {
      return listenAt(`/proc/self/fd/${directory.fd}/${path.slice(path.lastIndexOf('/') + 1)}`, path);
    } finally {
      directory.close();
    }
  },

  async deliver(path, message, handles) {
    const descriptors = handles.map((handle) => openHandle(handle).fd);
    const socket = await connectTo(path, { packets: false });
    const stream = new SocketStream(socket, path);
    try {
      const sent = must(system.send(socket.fd, message, descriptors), 'sendmsg', path);
      await stream.write(message.subarray(sent));
    } finally {
      stream.close();
    }
  },

  async pair() {
    const ends = new Int32Array(2);
    const bytes = new Uint8Array(ends.buffer);
    must(call.socketpair(unix, kinds.stream | o.closeOnExec, 0, bytes), 'socketpair');
    const [ours = -1, theirs = -1] = ends;
    call.fcntl(ours, 4, o.nonblock); // F_SETFL
    widen(ours);
    return { ours: new SocketStream(newHandle(ours), 'socketpair'), theirs: newHandle(theirs) };
  },

  connect: async (path) => new SocketStream(await connectTo(path, { packets: false }), path),
};

/** Much goes over it, between two processes that need not wait for one another; less is had without the right to more. */
function widen(socket: number): void {
  const room = new Uint8Array(new Int32Array([4 << 20]).buffer);
  const [level, force, ordinary] = [1, 32, 7]; // SOL_SOCKET, SO_SNDBUFFORCE, SO_SNDBUF
  if (call.setsockopt(socket, level, force, room, 4) < 0) call.setsockopt(socket, level, ordinary, room, 4);
}

/** The kernel makes the file with the mode of the socket, so that nobody else can connect at any moment. */
function listenAt(address: string, path: string): NativeHandle {
  const bytes = addressOf(address);
  if (bytes === undefined) throw systemError(36, 'bind', path);
  const socket = newHandle(must(call.socket(unix, kinds.packets | o.closeOnExec, 0), 'socket', path));
  try {
    must(call.fchmod(socket.fd, 0o600), 'fchmod', path);
    must(call.bind(socket.fd, bytes, bytes.length), 'bind', path);
    must(call.listen(socket.fd, backlog), 'listen', path);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** `struct sockaddr_un` of a path, or after a NUL of an abstract address; undefined where it does not fit. */
function addressOf(text: string): Uint8Array | undefined {
  const isPath = text[0] !== '\0';
  const name = bytesOf(text);
  if (name.length + Number(isPath) > addressBytesMax) return undefined;
  const bytes = new Uint8Array(2 + name.length + Number(isPath));
  bytes[0] = unix;
  bytes.set(name, 2);
  return bytes;
}

/** A connection to the socket at a path of any length, or to an abstract address, which begins with a NUL. */
export async function connectTo(path: string, how: { readonly packets: boolean }): Promise<NativeHandle> {
  if (path.startsWith('\0')) return connectAt(path, path.replace('\0', '@'), how);
  checkPath(path);
  const file = openFile(path, o.path);
  try {
    return await connectAt(`/proc/self/fd/${file.fd}`, path, how);
  } finally {
    file.close();
  }
}

async function connectAt(address: string, path: string, { packets }: { packets: boolean }): Promise<NativeHandle> {
  const bytes = addressOf(address);
  if (bytes === undefined) throw systemError(36, 'connect', path);
  const kind = packets ? kinds.packets : kinds.stream;
  const socket = newHandle(must(call.socket(unix, kind | o.closeOnExec | o.nonblock, 0), 'socket', path));
  try {
    for (let attempt = 1; ; attempt++) {
      const result = call.connect(socket.fd, bytes, bytes.length);
      if (result === -errno.again && attempt < attemptsMax) {
        await sleep(attemptEveryMs);
        continue;
      }
      // The kernel says the same of a file that is no socket and of a socket where nobody listens.
      if (result === -refused && address[0] !== '\0' && !isSocket(address)) throw systemError(88, 'connect', path);
      must(result, 'connect', path);
      return socket;
    }
  } catch (error) {
    socket.close();
    throw error;
  }
}

function isSocket(path: string): boolean {
  const found = stat(path);
  return typeof found !== 'number' && isType(found, types.socket);
}

function checkPath(path: string): void {
  if (path.startsWith('/') && !path.includes('\0')) return;
  throw new RuntsError('ERR_SPEC', `${JSON.stringify(path)} is not an absolute path of a socket`);
}
