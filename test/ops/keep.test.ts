import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Session } from '../../lib/host/host.ts';
import { keeperProgram, keeperTag, removalProgram } from '../../lib/plan/keeper.ts';
import { encode } from '../../lib/program/encode.ts';
import { forgetMessage, goMessage, keepMessage, runMessage } from '../../lib/program/frames.ts';
import { limits } from '../../lib/program/limits.ts';
import { until } from '../support/look.ts';
import { directory, host } from '../support/ops.ts';
import { patienceMs } from '../support/requires.ts';
import { frameOf, heldSessions, runIn } from '../support/sessions.ts';

const sessions = heldSessions();

async function keeper(): Promise<Session> {
  const session = sessions.hold(await host.processes.spawn({ flags: 0 }));
  await runIn(session, keeperProgram({ mapped: false }));
  expect(await frameOf(session)).toEqual({ kind: 'sync', tag: keeperTag });
  await session.send(goMessage(keeperTag));
  return session;
}

/** A directory with trees of these names. */
function trees(...names: string[]): string {
  const path = directory();
  for (const name of names) {
    mkdirSync(`${path}/${name}/below`, { recursive: true });
    writeFileSync(`${path}/${name}/below/file`, '');
  }
  return path;
}

async function keeps(by: Session, number: number, path: string, name: string): Promise<void> {
  const handle = await host.files.open(path, 'directory');
  await by.send(keepMessage(number, encode(removalProgram('tree', name))), [handle]);
  handle.close();
  expect(await frameOf(by)).toEqual({ kind: 'sync', tag: number });
}

test('keep runs what it was given when it is told to, and nothing else', async () => {
  const path = trees('a', 'b');
  const by = await keeper();
  await keeps(by, 0, path, 'a');
  await keeps(by, 1, path, 'b');
  await by.send(runMessage(1));
  expect(await frameOf(by)).toEqual({ kind: 'done', tag: 1 });
  expect([existsSync(`${path}/a`), existsSync(`${path}/b`)]).toEqual([true, false]);
});

test('keep runs what is left at the end of the channel, and not what it was told to forget', async () => {
  const path = trees('a', 'b', 'c');
  const by = await keeper();
  for (const [number, name] of ['a', 'b', 'c'].entries()) await keeps(by, number, path, name);
  await by.send(forgetMessage(1));
  by.close();
  expect(await by.exit).toEqual({ code: 0, signal: undefined });
  expect(await until(() => !existsSync(`${path}/a`) && !existsSync(`${path}/c`), patienceMs)).toBe(true);
  expect(existsSync(`${path}/b`)).toBe(true);
});

test('keep hears what was said before the end of a host that has not listened', async () => {
  const path = trees('a');
  const by = await keeper();
  const handle = await host.files.open(path, 'directory');
  for (let number = 0; number < 20; number++)
    await by.send(keepMessage(number, encode(removalProgram('tree', 'x'))), [handle]);
  host.processes.signal(by.process, 19);
  await by.send(keepMessage(20, encode(removalProgram('tree', 'a'))), [handle]);
  handle.close();
  by.close();
  host.processes.signal(by.process, 18);
  await by.exit;
  expect(await until(() => !existsSync(`${path}/a`), patienceMs)).toBe(true);
});

test('keep says what failed, of which number, and keeps on', async () => {
  const path = trees('a');
  const by = await keeper();
  await keeps(by, 3, path, '..');
  await by.send(runMessage(3));
  expect(await frameOf(by)).toMatchObject({ kind: 'error', tag: 3, index: 0, op: 'remove_tree', step: 'openat2' });
  await keeps(by, 4, path, 'a');
  await by.send(runMessage(4));
  expect(await frameOf(by)).toEqual({ kind: 'done', tag: 4 });
});

test('keep refuses what is no program, what lacks its handle, and a number that is taken', async () => {
  const path = trees('a');
  const by = await keeper();
  const program = encode(removalProgram('tree', 'a'));
  await by.send(keepMessage(0, program.subarray(0, 100)));
  expect(await frameOf(by)).toMatchObject({ kind: 'error', tag: 0, step: 'verify' });
  await by.send(keepMessage(0, program));
  expect(await frameOf(by)).toMatchObject({ kind: 'error', tag: 0, step: 'verify', detail: 'handles' });
  await keeps(by, 0, path, 'a');
  await by.send(keepMessage(0, program));
  expect(await frameOf(by)).toMatchObject({ kind: 'error', tag: 0, step: 'verify', detail: 'taken' });
  await by.send(runMessage(0));
  expect(await frameOf(by)).toEqual({ kind: 'done', tag: 0 });
});

test('keep ends at what it has no room for', async () => {
  const by = await keeper();
  await by.send(runMessage(limits.programsKeptMax));
  expect(await frameOf(by)).toMatchObject({ kind: 'error', op: 'keep', step: 'recvmsg', errno: 74 });
});

test('the program that removes what has the longest name is one that keep has room for', () => {
  for (const what of ['tree', 'cgroup'] as const) {
    expect(encode(removalProgram(what, 'n'.repeat(255))).length).toBeLessThanOrEqual(limits.programKeptBytesMax);
  }
});
