import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Look, Session } from '../../lib/host/host.ts';
import { createHost } from '../../lib/node/host.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import { expectUnchanged, look } from '../support/look.ts';
import { temporaryDirectory } from '../support/rootfs.ts';
import { frames, halt, op } from './programs.ts';

const host = createHost();
/** Longer than anything takes here. */
const longMs = 60_000;
// The first one makes the image that all are executed from.
beforeAll(async () => {
  const session = await host.processes.spawn({ flags: 0, errand: errandOf(halt), stayMs: longMs });
  session.process.close();
});

const errandOf = (...ops: Parameters<typeof encode>[0]['ops'][number][]) => {
  const messages = segmentMessages(encode({ inputs: [], ops }));
  return { messages, handles: [] };
};
const waits = errandOf(op('sync', { tag: 7 }), halt);

/** Ends one that waits. */
async function letGo(session: Session): Promise<void> {
  await session.send(goMessage(7));
  await session.exit;
  session.process.close();
}

test('of an init that somebody stays with all is known when it is told of', async () => {
  const before = look();
  const session = await host.processes.spawn({ flags: 0, errand: errandOf(halt), stayMs: longMs });
  expect(session.over?.exit).toEqual({ code: 0, signal: undefined });
  expect(session.over?.frames).toEqual([{ kind: 'done', tag: 0 }]);
  expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  expect(host.processes.signal(session.process, 9)).toBe(false);
  await expect(session.send(goMessage(7))).rejects.toMatchObject({ code: 'EPIPE' });
  session.close();
  session.process.close();
  await expectUnchanged(before);
});

test('what it has said of its failure is heard byte by byte', async () => {
  const errand = errandOf(op('chdir', { path: '/nowhere/…\x7fÿ' }), halt);
  const session = await host.processes.spawn({ flags: 0, errand, stayMs: longMs });
  const failed = [expect.objectContaining({ kind: 'error', op: 'chdir', errno: 2, detail: '/nowhere/…\x7fÿ' })];
  expect(session.over?.frames).toEqual(failed);
  expect(await frames(session)).toEqual(failed);
  expect(await session.receive()).toBeUndefined();
  session.process.close();
});

test('nothing is heard any more of one whose session is closed', async () => {
  const session = await host.processes.spawn({ flags: 0, errand: errandOf(halt), stayMs: longMs });
  session.close();
  expect(await session.receive()).toBeUndefined();
  session.process.close();
});

test('one that takes longer is told of as any other, and what it has said is not lost', async () => {
  const before = look();
  const session = await host.processes.spawn({ flags: 0, errand: waits, stayMs: 50 });
  expect(session.over).toBeUndefined();
  expect(decodeFrame((await session.receive())!.bytes)).toEqual({ kind: 'sync', tag: 7 });
  await letGo(session);
  await expectUnchanged(before);
});

test('one that is killed meanwhile has ended by that signal', async () => {
  const work = host.processes.spawn({ flags: 0, errand: waits, stayMs: longMs });
  const children = () => look().processes.filter((name) => name.endsWith(' runts-init'));
  await expect.poll(() => children().length).toBe(1);
  process.kill(Number.parseInt(children()[0]!, 10), 'SIGKILL');
  const session = await work;
  expect(session.over?.exit).toEqual({ code: undefined, signal: 9 });
  session.process.close();
});

test('however many inits are waited for, files can be read', async () => {
  let waiting = 0;
  const stop = { now: false };
  const sessions = Array.from({ length: 8 }, async () => {
    waiting++;
    const session = await host.processes.spawn({ flags: 0, errand: waits, stayMs: stop.now ? 0 : 1000 });
    waiting--;
    return session;
  });
  await readFile('/proc/self/stat');
  expect(waiting).toBeGreaterThan(0);
  for (const session of await Promise.all(sessions)) await letGo(session);
});

test('what has to be as it was is looked at before anything is made', async () => {
  const directory = temporaryDirectory();
  onTestFinished(() => directory.remove());
  const at = (path: string) => join(directory.path, path);
  mkdirSync(at('root'));
  writeFileSync(at('file'), 'text');
  writeFileSync(at('root/inside'), 'täxt');
  symlinkSync('/file', at('root/link'));
  const looks: Look[] = [
    { at: 'file', path: at('file'), text: 'text' },
    { at: 'below', root: at('root'), path: 'inside', text: 'täxt' },
    { at: 'below', root: at('root'), path: 'missing', text: undefined },
    { at: 'straight', path: at('root') },
  ];
  const spawn = (all: readonly Look[]) =>
    host.processes.spawn({ flags: 0, errand: errandOf(halt), stayMs: longMs, looks: all });
  const isMade = async (all: readonly Look[]): Promise<boolean> => {
    const before = readdirSync('/proc/self/fd').length;
    try {
      const session = await spawn(all);
      session.process.close();
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'ESTALE' });
      expect(readdirSync('/proc/self/fd').length).toBe(before);
      return false;
    }
  };
  expect(await isMade(looks)).toBe(true);
  for (const [path, other] of [
    ['file', 'test'],
    ['file', 'text!'],
    ['file', 'tex'],
    ['root/inside', 'text'],
  ] as const) {
    const text = path === 'file' ? 'text' : 'täxt';
    writeFileSync(at(path), other);
    expect(await isMade(looks), `${path}: ${other}`).toBe(false);
    writeFileSync(at(path), text);
    expect(await isMade(looks)).toBe(true);
  }
  writeFileSync(at('root/missing'), '');
  expect(await isMade(looks)).toBe(false);
  expect(await isMade([{ at: 'below', root: at('root'), path: 'link', text: 'text' }])).toBe(false);
  expect(await isMade([{ at: 'file', path: directory.path, text: '' }])).toBe(false);
  renameSync(at('root'), at('other'));
  symlinkSync('other', at('root'));
  expect(await isMade(looks.slice(0, 2))).toBe(true);
  expect(await isMade(looks.slice(3))).toBe(false);
});
