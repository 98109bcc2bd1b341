import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { RuntsError } from '../errors.ts';
import type { Message, Session, SpawnRequest } from '../host/host.ts';
import { Builder } from '../program/builder.ts';
import { encode } from '../program/encode.ts';
import { errnoNumber } from '../program/errno.ts';
import { cloneMessage, decodeFrame, segmentMessages } from '../program/frames.ts';
import { isFailure, orThrow, systemError } from './failure.ts';
import { openHandle } from './handle.ts';
import { type NativeChannel, type NativeHandle, native } from './native.ts';
import { NodeSession } from './session.ts';

const killed = 9;

/** The init that a zygote clones for us (`Processes.spawnBy`). */
export async function spawnBy(zygote: Session, { flags, cgroup, detached }: SpawnRequest): Promise<Session> {
  const { ours: channel, theirs } = orThrow(native.socketPair(true), undefined, 'socketpair');
  try {
    await zygote.send(cloneMessage(flags), cgroup === undefined ? [theirs] : [theirs, cgroup]);
  } catch (error) {
    channel.close();
    throw error;
  } finally {
    theirs.close();
  }
  const answer = await zygote.receive().catch(() => undefined);
  if (answer !== undefined) return sessionOf(answer, channel, detached);
  collectLost(channel);
  throw systemError(errnoNumber('EPIPE'), 'recvmsg');
}

/** The init that a zygote says it has cloned. */
function sessionOf({ bytes, handles }: Message, channel: NativeHandle, detached: boolean | undefined): Session {
  const [process, ...others] = handles;
  try {
    const frame = decodeFrame(bytes);
    if (frame.kind === 'error') throw systemError(frame.errno, frame.step);
    if (frame.kind !== 'forked' || process === undefined || others.length > 0) {
      throw new RuntsError('ERR_INTERNAL', `a zygote answered with ${frame.kind} and ${handles.length} handles`);
    }
    const { pid, errno } = frame;
    return new NodeSession({ pid, process, channel, ours: true, detached, mapped: errno === 0 });
  } catch (error) {
    if (process !== undefined) collect(openHandle(process));
    for (const handle of handles) handle.close();
    channel.close();
    throw error;
  }
}

/**
 * A zygote that was killed may have cloned an init, and not told of it: a child of ours that would stay a zombie, and cannot be
 * known by its number, since it is not the zygote's any more. It is asked who it is, over its channel.
 */
function collectLost(handle: NativeHandle): void {
  let channel: NativeChannel | undefined;
  const hear = (_bytes: Uint8Array, [self, ...others]: readonly NativeHandle[]): void => {
    if (self === undefined) return;
    const process = processOf(self);
    if (process !== undefined) collect(process);
    for (const each of [self, process, ...others]) each?.close();
    channel?.close();
  };
  try {
    channel = new native.Channel(
      handle,
      hear,
      () => {},
      () => {},
    );
    channel.keepAlive(false);
    // Where nobody has the other end, it says so (EPIPE), now or as its end.
    for (const message of segmentMessages(tellSelf())) channel.send(message, []);
  } catch {
    handle.close(); // no descriptor, or no watch, was left: the init ends by that, and is our zombie
  }
}

/** An init says which process it is by the handle of its directory in procfs, and ends. */
function tellSelf(): Uint8Array {
  const origin = 'zygote';
  const p = new Builder();
  p.op('open', { dst: 'self', path: '/proc/self' }, origin);
  p.op('send_handle', { src: 'self', tag: 1 }, origin);
  p.op('halt', {}, origin);
  return encode(p.segment());
}

/** By a handle of its directory in procfs, while it is our child, or our zombie: nobody else has its number meanwhile. */
function processOf(directory: NativeHandle): NativeHandle | undefined {
  try {
    const pid = Number(basename(readlinkSync(`/proc/self/fd/${directory.fd}`)));
    const process = Number.isInteger(pid) && pid > 1 ? native.openProcess(pid) : undefined;
    return isFailure(process) ? undefined : process;
  } catch {
    return undefined;
  }
}

/** Kills a child of ours, and takes its status when it has ended; nobody waits for that. */
function collect(process: NativeHandle): void {
  native.signal(process, killed);
  const own = native.duplicate(process.fd);
  if (!isFailure(own)) new native.Exit(own, true, () => {}).keepAlive(false);
}
