import type { Handle, Host, Session } from '../../lib/host/host.ts';
import { type EncodeOptions, encode } from '../../lib/program/encode.ts';
import { decodeFrame, type Frame, segmentMessages } from '../../lib/program/frames.ts';
import type { Op, Operands, OpName } from '../../lib/program/ops.ts';

export { namespaceFlags as namespace } from '../../lib/spec/names.ts';

export const op = <N extends OpName>(name: N, operands: Operands<N>): Op =>
  ({ op: name, operands, origin: 'test' }) as unknown as Op;
export const halt = op('halt', {});

export interface Sent extends EncodeOptions {
  readonly inputs?: Readonly<Record<string, Handle>>;
}

/** Sends a program, whole. */
export async function send(
  session: Session,
  ops: readonly Op[],
  { inputs = {}, ...options }: Sent = {},
): Promise<void> {
  let handles = Object.values(inputs);
  for (const message of segmentMessages(encode({ inputs: Object.keys(inputs), ops }, options))) {
    await session.send(message, handles);
    handles = [];
  }
}

/** Every frame until the end of the channel. */
export async function frames(session: Session): Promise<Frame[]> {
  const all: Frame[] = [];
  for (;;) {
    const message = await session.receive();
    if (message === undefined) return all;
    all.push(decodeFrame(message.bytes));
    for (const handle of message.handles) handle.close();
  }
}

/** A new init that runs a program to its end. */
export async function runProgram(host: Host, flags: number, ops: readonly Op[], sent: Sent = {}): Promise<Frame[]> {
  const session = await host.processes.spawn({ flags });
  try {
    await send(session, ops, sent);
    const all = await frames(session);
    await session.exit;
    return all;
  } finally {
    session.close();
    session.process.close();
  }
}

/** Maps root inside to `uid` and `gid`, as a process without privileges may. */
export async function mapSelf(host: Host, pid: number, { uid, gid }: { uid: number; gid: number }): Promise<void> {
  await host.files.write(`/proc/${pid}/setgroups`, 'deny');
  await host.files.write(`/proc/${pid}/uid_map`, `0 ${uid} 1`);
  await host.files.write(`/proc/${pid}/gid_map`, `0 ${gid} 1`);
}
