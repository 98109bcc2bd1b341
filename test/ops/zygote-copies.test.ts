import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import type { Errand, ForkRequest, Session } from '../../lib/host/host.ts';
import { orThrow } from '../../lib/node/failure.ts';
import { native } from '../../lib/node/native.ts';
import { NodeSession } from '../../lib/node/session.ts';
import type { Segment } from '../../lib/plan/plan.ts';
import { copyingProgram, zygoteTag } from '../../lib/plan/zygote.ts';
import { encode } from '../../lib/program/encode.ts';
import { cloneMessage, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import { descendants, expectUnchanged, look } from '../support/look.ts';
import { directory, halt, host, op } from '../support/ops.ts';
import { patienceMs, testIf } from '../support/requires.ts';
import { frameOf, heldSessions, runIn } from '../support/sessions.ts';

const sessions = heldSessions();

/** One that has been told to go on. */
async function zygote(program: Segment = copyingProgram()): Promise<Session> {
  const session = sessions.hold(await host.processes.spawn({ flags: 0 }));
  await runIn(session, program);
  expect(await frameOf(session)).toEqual({ kind: 'sync', tag: zygoteTag });
  await session.send(goMessage(zygoteTag));
  return session;
}

const idleAfter = (idle_ms: number): Segment => ({
  inputs: [],
  ops: [op('sync', { tag: zygoteTag }), op('fork_inits', { idle_ms }), halt],
});
/** Of what takes its time nobody is to think that it was idle. */
const patientZygote = () => zygote(idleAfter(3_600_000));

const errandOf = (...ops: Segment['ops'][number][]): Errand => ({
  messages: segmentMessages(encode({ inputs: [], ops })),
  handles: [],
});
const waits = errandOf(op('sync', { tag: 7 }), halt);

async function copied(by: Session, errand: Errand = waits, more: Omit<ForkRequest, 'errand'> = {}): Promise<Session> {
  return sessions.hold(await host.processes.forkBy(by, { errand, ...more }));
}

const status = (pid: number, name: string) =>
  new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];

test('a zygote can be asked as soon as it was told to go on', async () => {
  for (let round = 0; round < 200; round++) {
    const by = await patientZygote();
    expect((await copied(by, errandOf(halt))).pid).not.toBe(by.pid);
    await sessions.endAll();
  }
});
