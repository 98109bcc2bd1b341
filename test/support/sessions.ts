import { afterEach } from 'vitest';
import type { Session } from '../../lib/host/host.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, type Frame, segmentMessages } from '../../lib/program/frames.ts';
import { host } from './ops.ts';

/** Sessions of a test file: what is held is killed and let go of after each test, or before. */
export function heldSessions() {
  const held: Session[] = [];
  const endAll = async (): Promise<void> => {
    for (const session of held.splice(0)) await end(session);
  };
  afterEach(endAll);
  return {
    hold(session: Session): Session {
      held.push(session);
      return session;
    },
    endAll,
  };
}

/** Kills the process of a session, and lets go of both. */
export async function end(session: Session): Promise<void> {
  host.processes.signal(session.process, 9);
  session.close();
  await session.exit;
  session.process.close();
}

/** Has an init run a program. */
export async function runIn(session: Session, program: Parameters<typeof encode>[0]): Promise<void> {
  for (const message of segmentMessages(encode(program))) await session.send(message);
}

/** What is said next; undefined at the end. */
export async function frameOf(session: Session): Promise<Frame | undefined> {
  const message = await session.receive();
  return message && decodeFrame(message.bytes);
}
