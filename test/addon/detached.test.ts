import { existsSync, readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { abandon, endSession } from '../../lib/host/session.ts';
import { createHost } from '../../lib/node/host.ts';
import { decodeFrame } from '../../lib/program/frames.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { until } from '../support/look.ts';
import { testIf } from '../support/requires.ts';
import { halt, op, send } from './programs.ts';

const host = createHost();
const { processes } = host;

const isThere = (pid: number): boolean => existsSync(`/proc/${pid}`);
const stateOf = (pid: number): string => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '')[0]!;

testIf('userns')('of a process that is for others to collect we know how it ended, and they still can', async () => {
  const session = await processes.spawn({ flags: namespaceFlags.user, detached: true });
  const { pid, process } = session;
  processes.signal(process, 9);
  session.close();
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
  expect(stateOf(pid)).toBe('Z');
  process.close();
});

testIf('userns')('one that is ours is collected', async () => {
  const session = await processes.spawn({ flags: namespaceFlags.user });
  const { pid, process } = session;
  processes.signal(process, 9);
  session.close();
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
  expect(() => stateOf(pid)).toThrow('ENOENT');
  process.close();
});

testIf('userns').each([
  { how: 'given up', end: abandon },
  { how: 'ended', end: endSession },
])('one that was to be for others is collected where it is $how: nobody was told of it', async ({ end }) => {
  const session = await processes.spawn({ flags: namespaceFlags.user, detached: true });
  const { pid } = session;
  await end(host, session, 5000);
  expect(await until(() => !isThere(pid), 5000)).toBe(true);
});

testIf('userns')('one whose end we have looked at is collected as well, once it is ended', async () => {
  const session = await processes.spawn({ flags: namespaceFlags.user, detached: true });
  const { pid, process } = session;
  processes.signal(process, 9);
  await session.receive();
  await session.exit;
  expect(stateOf(pid)).toBe('Z');
  await endSession(host, session, 5000);
  expect(await until(() => !isThere(pid), 5000)).toBe(true);
});

testIf('userns')('of an init that forked the child alone is for others to collect', async () => {
  const session = await processes.spawn({ flags: namespaceFlags.user, detached: true });
  const parent = session.pid;
  await send(session, [op('fork', {}), halt]);
  const { bytes, handles } = (await session.receive())!;
  const frame = decodeFrame(bytes);
  if (frame.kind !== 'forked') throw new Error('no forked frame');
  session.adopt(frame.pid, handles[0]!);
  session.close();
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  expect(await until(() => !isThere(parent), 5000)).toBe(true);
  expect(stateOf(session.pid)).toBe('Z');
  session.process.close();
});
