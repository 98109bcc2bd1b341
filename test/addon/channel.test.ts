import { constants, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { openFile, openHandle } from '../../lib/node/handle.ts';
import { createHost } from '../../lib/node/host.ts';
import { decodeFrame } from '../../lib/program/frames.ts';
import { limits } from '../../lib/program/limits.ts';
import { frames, halt, op, runProgram, send } from './programs.ts';

const host = createHost();
const start = () => host.processes.spawn({ flags: 0 });

test('a message to an init that is dead is refused with EPIPE', async () => {
  const session = await start();
  host.processes.signal(session.process, 9);
  expect(await session.receive()).toBe(undefined);
  await expect(session.send(new Uint8Array(8))).rejects.toMatchObject({ code: 'EPIPE', syscall: 'sendmsg' });
});

test('what an init said before it died is received, though it died with messages unread', async () => {
  const session = await start();
  const garbage = new Uint8Array(64);
  await send(session, [op('sync', { tag: 7 }), halt]);
  const first = await session.receive();
  expect(first && decodeFrame(first.bytes)).toEqual({ kind: 'sync', tag: 7 });
  // It takes the first for a GO that makes no sense, and dies with the second unread.
  host.processes.signal(session.process, 19);
  await session.send(garbage);
  await session.send(garbage);
  host.processes.signal(session.process, 18);
  expect(await frames(session)).toMatchObject([{ kind: 'error', op: 'sync' }]);
  expect(await session.exit).toEqual({ code: 125, signal: undefined });
});

test('a program of megabytes arrives whole, faster than its reader', async () => {
  const content = new Uint8Array(3 * 1024 * 1024).fill(7);
  const root = await host.files.open('/', 'directory');
  const ops = [op('file', { root: 'root', path: '/nowhere/'.repeat(600), mode: 0o600, content }), halt];
  expect(await runProgram(host, 0, ops, { inputs: { root } })).toMatchObject([{ kind: 'error', op: 'file' }]);
  root.close();
});

test('many messages at once are sent in their order', async () => {
  const session = await start();
  const tags = Array.from({ length: 400 }, (_, i) => i);
  await send(session, [...tags.map((tag) => op('sync', { tag })), halt]);
  const go = (tag: number) => new Uint8Array(new Uint32Array([2, tag]).buffer);
  const sent = Promise.all(tags.map((tag) => session.send(go(tag))));
  const all = await frames(session);
  await sent;
  expect(all.at(-1)).toEqual({ kind: 'done', tag: 0 });
  expect(all.length).toBe(401);
});

test('handles go to an init and come back as others', async () => {
  const file = await openFile('/proc/self/comm', constants.O_RDONLY);
  const session = await start();
  await send(session, [op('send_handle', { src: 'file', tag: 5 }), halt], { inputs: { file } });
  const message = await session.receive();
  expect(message && decodeFrame(message.bytes)).toEqual({ kind: 'handle', tag: 5 });
  const [back, ...others] = message?.handles ?? [];
  expect(others).toEqual([]);
  expect(openHandle(back!).fd).not.toBe(file.fd);
  expect(openHandle(back!).fd).toBeGreaterThan(2);
  back?.close();
  file.close();
  expect(() => openHandle(back!)).toThrow('closed');
  expect(await frames(session)).toEqual([{ kind: 'done', tag: 0 }]);
});

test('an init that floods us waits for us, and every frame is received', async () => {
  const ops = Array.from({ length: limits.opsMax - 1 }, () => op('umask', { mask: 0 }));
  const session = await start();
  await send(session, [...ops, halt], { trace: true });
  await host.clock.after(300).done;
  // Alive: it cannot have written all, for we stopped to receive.
  expect(host.processes.signal(session.process, 0)).toBe(true);
  expect(readdirSync(`/proc/${session.pid}`).length).toBeGreaterThan(0);
  const all = await frames(session);
  expect(all.filter((frame) => frame.kind === 'trace').length).toBeGreaterThanOrEqual(limits.opsMax - 1);
  expect(all.at(-1)).toEqual({ kind: 'done', tag: 0 });
  await session.exit;
});

test("a process that an init forked is adopted, and the exit is the child's", async () => {
  const session = await start();
  const parent = session.pid;
  await send(session, [op('fork', {}), op('sync', { tag: 1 }), halt]);
  const forked = await session.receive();
  const frame = forked && decodeFrame(forked.bytes);
  if (frame?.kind !== 'forked') throw new Error('no forked frame');
  // The parent has ended by now, but that is not how the session ends.
  await host.clock.after(50).done;
  session.adopt(frame.pid, forked!.handles[0]!);
  expect(session.pid).toBe(frame.pid);
  expect(session.pid).not.toBe(parent);
  expect(decodeFrame((await session.receive())!.bytes)).toEqual({ kind: 'sync', tag: 1 });
  host.processes.signal(session.process, 15);
  host.processes.signal(session.process, 9);
  expect((await session.exit).signal).toBe(9);
});

test('a forked child that is adopted only after the end of the channel gives its exit all the same', async () => {
  const session = await start();
  await send(session, [op('fork', {}), halt]);
  await host.clock.after(100).done;
  const forked = await session.receive();
  expect(await session.receive()).toMatchObject({});
  const frame = decodeFrame(forked!.bytes);
  if (frame.kind !== 'forked') throw new Error('no forked frame');
  session.adopt(frame.pid, forked!.handles[0]!);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
});

test('closing gives every waiting reader the end, and every waiting sender EPIPE', async () => {
  const session = await start();
  host.processes.signal(session.process, 19); // SIGSTOP: it reads no more
  const big = new Uint8Array(limits.messageBytesMax);
  const sent = Array.from({ length: 64 }, () => session.send(big));
  const refused = Promise.allSettled(sent);
  const readers = [session.receive(), session.receive()];
  await host.clock.after(20).done;
  session.close();
  expect(await Promise.all(readers)).toEqual([undefined, undefined]);
  const reasons = (await refused).flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []));
  expect(reasons.length).toBeGreaterThan(0);
  expect(new Set(reasons)).toEqual(new Set(['EPIPE']));
  expect(await session.receive()).toBe(undefined);
  host.processes.signal(session.process, 9);
  expect(await session.exit).toEqual({ code: undefined, signal: 9 });
});

test('what cannot be sent is refused before anything is', async () => {
  const session = await start();
  const file = await openFile('/', constants.O_RDONLY);
  const small = new Uint8Array(8);
  await expect(session.send(new Uint8Array(limits.messageBytesMax + 9))).rejects.toThrow('does not fit');
  await expect(
    session.send(
      small,
      Array.from({ length: 254 }, () => file),
    ),
  ).rejects.toThrow('does not fit');
  await expect(session.send(small, [{ close: () => undefined }])).rejects.toMatchObject({ code: 'ERR_SPEC' });
  file.close();
  file.close();
  await expect(session.send(small, [file])).rejects.toMatchObject({ code: 'ERR_STATE' });
  const error = await session.send(small, [file]).catch((e: unknown) => e);
  expect(RuntsError.is(error)).toBe(true);
  session.close();
  await session.exit;
});

test('the process handle may be closed at any time: the exit is known all the same', async () => {
  const session = await start();
  session.process.close();
  expect(() => host.processes.signal(session.process, 9)).toThrow('closed');
  session.close();
  expect((await session.exit).code).toBe(125);
});
