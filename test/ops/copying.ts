import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { Errand, ForkRequest, Session } from '../../lib/host/host.ts';
import type { Segment } from '../../lib/plan/plan.ts';
import { copyingProgram, zygoteTag } from '../../lib/plan/zygote.ts';
import { encode } from '../../lib/program/encode.ts';
import { goMessage, segmentMessages } from '../../lib/program/frames.ts';
import { halt, host, op } from '../support/ops.ts';
import { frameOf, heldSessions, runIn } from '../support/sessions.ts';

export const sessions = heldSessions();

/** One that has been told to go on. */
export async function zygote(program: Segment = copyingProgram()): Promise<Session> {
  const session = sessions.hold(await host.processes.spawn({ flags: 0 }));
  await runIn(session, program);
  expect(await frameOf(session)).toEqual({ kind: 'sync', tag: zygoteTag });
  await session.send(goMessage(zygoteTag));
  return session;
}

export const idleAfter = (idle_ms: number): Segment => ({
  inputs: [],
  ops: [op('sync', { tag: zygoteTag }), op('fork_inits', { idle_ms }), halt],
});
/** Of what takes its time nobody is to think that it was idle. */
export const patientZygote = () => zygote(idleAfter(3_600_000));

export const errandOf = (...ops: Segment['ops'][number][]): Errand => ({
  messages: segmentMessages(encode({ inputs: [], ops })),
  handles: [],
});
export const waits = errandOf(op('sync', { tag: 7 }), halt);

export async function copied(
  by: Session,
  errand: Errand = waits,
  more: Omit<ForkRequest, 'errand'> = {},
): Promise<Session> {
  return sessions.hold(await host.processes.forkBy(by, { errand, ...more }));
}

export const status = (pid: number, name: string) =>
  new RegExp(`^${name}:[\\t ]*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

/** Makes a file. */
export const touching = (path: string, ...before: Segment['ops'][number][]) =>
  errandOf(...before, op('exec', { files: ['/bin/sh'], argv: ['sh', '-c', `: >> ${path}`], env: [] }));
