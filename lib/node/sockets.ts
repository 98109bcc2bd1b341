import { constants, promises as fs } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RuntsError } from '../errors.ts';
import type { Handle, Sockets } from '../host/host.ts';
import { errnoNumber } from '../program/errno.ts';
import { isFailure, orThrow, systemError } from './failure.ts';
import { openFile, openHandle } from './handle.ts';
import { type NativeHandle, native } from './native.ts';
import { openStream } from './stream.ts';

/** How often, and how long after one another, a socket that more wait at than it takes is tried. */
const attemptsMax = 500;
const attemptEveryMs = 10;
const busy = errnoNumber('EAGAIN');
const refused = errnoNumber('ECONNREFUSED');
const pathOnly = 0o10000000; // O_PATH is no constant of Node's

/** The port `Sockets`. */
export const sockets: Sockets = {
  async listen(path) {
    checkPath(path);
    // The address of a socket has 108 bytes, and a path of ours has as many as it likes.
    const directory = await openFile(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      return orThrow(native.socketListen(`/proc/self/fd/${directory.fd}/${basename(path)}`), path, 'bind');
    } finally {
      directory.close();
    }
  },

  async deliver(path, message, handles) {
    const owned = handles.map((handle) => openHandle(handle));
    const socket = await connectTo(path, { packets: false });
    try {
      const sent = orThrow(native.socketSend(socket, message, owned), path);
      if (sent < message.length) await writeOn(socket, message.subarray(sent));
    } finally {
      socket.close();
    }
  },

  async pair() {
    const { ours, theirs } = orThrow(native.socketPair(false));
    return { ours: openStream(ours, 'socketpair'), theirs };
  },

  connect: async (path) => openStream(await connectTo(path, { packets: false }), path),
};

/** A connection to the socket at a path of any length, or to an abstract address, which begins with a NUL. */
export async function connectTo(path: string, how: { readonly packets: boolean }): Promise<NativeHandle> {
  if (path.startsWith('\0')) return connectAt(path, path.replace('\0', '@'), how);
  checkPath(path);
  const file = await openFile(path, pathOnly);
  try {
    return await connectAt(`/proc/self/fd/${file.fd}`, path, how);
  } finally {
    file.close();
  }
}

async function connectAt(address: string, path: string, { packets }: { packets: boolean }): Promise<NativeHandle> {
  for (let attempt = 1; ; attempt++) {
    const result = native.socketConnect(packets, address);
    if (isFailure(result) && result.errno === busy && attempt < attemptsMax) {
      await sleep(attemptEveryMs);
      continue;
    }
    // The kernel says the same of a file that is no socket and of a socket where nobody listens.
    if (isFailure(result) && result.errno === refused && !address.startsWith('\0')) {
      if (!(await fs.stat(address)).isSocket()) throw systemError(errnoNumber('ENOTSOCK'), 'connect', path);
    }
    return orThrow(result, path, 'connect');
  }
}

/** The rest of a message that was longer than what the socket took at once. */
async function writeOn(socket: Handle, bytes: Uint8Array): Promise<void> {
  const stream = openStream(openHandle(socket), 'socket');
  try {
    await stream.write(bytes);
  } finally {
    stream.close();
  }
}

function checkPath(path: string): void {
  if (path.startsWith('/') && !path.includes('\0')) return;
  throw new RuntsError('ERR_SPEC', `${JSON.stringify(path)} is not an absolute path of a socket`);
}
