import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { Handle, Session } from '../../lib/host/host.ts';
import { createHost } from '../../lib/node/host.ts';
import { decodeFrame, type Frame, goMessage } from '../../lib/program/frames.ts';
import { runFixture } from './fixture.ts';
import { halt, op, runProgram, send } from './programs.ts';

const host = createHost();
const { processes, sockets } = host;
const directory = mkdtempSync(join(tmpdir(), 'runts-processes-'));
afterAll(() => rmSync(directory, { recursive: true }));

const descriptors = () => readdirSync('/proc/self/fd').length;

async function nextFrame(session: Session): Promise<{ readonly frame: Frame; readonly handles: readonly Handle[] }> {
  const message = await session.receive();
  if (message === undefined) throw new Error('the channel has ended');
  return { frame: decodeFrame(message.bytes), handles: message.handles };
}

/** A process that is no child of ours, until its standard input ends. */
async function stranger(): Promise<{ readonly pid: number; readonly end: () => void }> {
  const parent = spawn('/bin/sh', ['-c', 'cat <&3 >/dev/null & echo $!; exec 3<&-; wait'], {
    stdio: ['ignore', 'pipe', 'ignore', 'pipe'],
  });
  const [pid] = await once(parent.stdout as NonNullable<typeof parent.stdout>, 'data');
  return { pid: Number(pid), end: () => (parent.stdio[3] as NonNullable<typeof parent.stdin>).end() };
}

test('a process is found by its number, and a number of nobody, or of a mere thread, finds none', async () => {
  const own = await processes.find(process.pid);
  expect(own && processes.signal(own, 0)).toBe(true);
  own?.close();
  const ended = spawn('/bin/true');
  await once(ended, 'exit');
  expect(await processes.find(ended.pid as number)).toBe(undefined);
  const thread = readdirSync('/proc/self/task')
    .map(Number)
    .find((id) => id !== process.pid);
  expect(await processes.find(thread as number)).toBe(undefined);
  for (const pid of [0, -1, 1.5, Number.NaN]) {
    await expect(processes.find(pid)).rejects.toMatchObject({ code: 'ERR_SPEC' });
  }
});

test('the end of a process is heard of whoever is its parent, by all who wait for it', async () => {
  const { pid, end } = await stranger();
  const found = await processes.find(pid);
  if (found === undefined) throw new Error('not found');
  let heard = 0;
  const waits = [1, 2, 3].map(() => processes.ended(found).then(() => heard++));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(heard).toBe(0);
  end();
  await Promise.all(waits);
  await processes.ended(found);
  found.close();
});

test('to wait for a child of ours leaves its exit code to whoever collects it', async () => {
  const session = await processes.spawn({ flags: 0 });
  const ended = processes.ended(session.process);
  await send(session, [halt]);
  await Promise.all([ended, expect(session.exit).resolves.toEqual({ code: 0, signal: undefined })]);
  await processes.ended(session.process);
  session.close();
  session.process.close();
});

test('a hundred waits at once keep no descriptor, and those whose process is closed give up', async () => {
  await runProgram(host, 0, [halt]);
  const before = descriptors();
  const all = await Promise.all(Array.from({ length: 100 }, stranger));
  const found = await Promise.all(all.map(({ pid }) => processes.find(pid)));
  const handles = found.filter((handle) => handle !== undefined);
  expect(handles.length).toBe(100);
  const waits = handles.map((handle) => processes.ended(handle));
  for (const handle of handles.slice(0, 50)) handle.close();
  await expect(Promise.all(waits.slice(0, 50))).rejects.toMatchObject({ code: 'ERR_STATE' });
  for (const { end } of all) end();
  await Promise.all(waits.slice(50));
  for (const handle of handles) handle.close();
  await expect.poll(descriptors).toBeLessThanOrEqual(before);
});

test('a connection to an init that somebody else made neither kills nor collects it', async () => {
  const path = join(directory, `${'x'.repeat(80)}.sock`);
  const listener = await sockets.listen(path);
  const { pid, end } = await stranger();
  const found = await processes.find(pid);
  if (found === undefined) throw new Error('not found');
  const session = await processes.connect(path, pid, found);
  expect(session.pid).toBe(pid);
  await session.send(new Uint8Array(8));
  listener.close();
  expect(await session.receive()).toBe(undefined);
  session.close();
  expect(processes.signal(found, 0)).toBe(true);
  end();
  expect(await session.exit).toEqual({ code: undefined, signal: undefined });
  found.close();
  const gone = await processes.find(process.pid);
  if (gone === undefined) throw new Error('not found');
  await expect(processes.connect(path, pid, gone)).rejects.toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect' });
  await expect(processes.connect(`${path}x`, pid, gone)).rejects.toMatchObject({ code: 'ENOENT' });
  gone.close();
});

test('a connection to a child of ours leaves its exit code to the session that made it', async () => {
  const path = join(directory, 'own.sock');
  const listener = await sockets.listen(path);
  const session = await processes.spawn({ flags: 0 });
  const second = await processes.connect(path, session.pid, session.process);
  await send(session, [halt]);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
  listener.close();
  second.close();
  expect(await second.exit).toEqual({ code: undefined, signal: undefined });
  session.close();
  session.process.close();
});

test('an init that waits to be started goes on with whoever connects, once its creator has let go of it', async () => {
  const path = join(directory, 'start.sock');
  const listener = await sockets.listen(path);
  const creator = await processes.spawn({ flags: 0 });
  const waits = op('await_start', { listener: 'listener', dst: 'state', tag: 1 });
  const program = [op('sync', { tag: 1003 }), waits, op('send_handle', { src: 'state', tag: 7 }), halt];
  await send(creator, program, { inputs: { listener } });
  expect(await nextFrame(creator)).toMatchObject({ frame: { kind: 'sync', tag: 1003 } });
  await creator.send(goMessage(1003));
  listener.close();
  creator.close();

  const found = (await processes.find(creator.pid)) as Handle;
  const early = await processes.connect(path, creator.pid, found);
  expect(await nextFrame(early)).toMatchObject({ frame: { kind: 'sync', tag: 1 } });
  early.close();
  const starter = await processes.connect(path, creator.pid, found);
  expect(await nextFrame(starter)).toMatchObject({ frame: { kind: 'sync', tag: 1 } });
  const state = host.kernel.blob(new TextEncoder().encode('{}'));
  await starter.send(goMessage(1), [state]);
  const { frame, handles } = await nextFrame(starter);
  expect(frame).toEqual({ kind: 'handle', tag: 7 });
  const [back] = handles as unknown as readonly [{ fd: number } & Handle];
  expect(readFileSync(`/proc/self/fd/${back.fd}`, 'utf8')).toBe('{}');
  expect(await nextFrame(starter)).toMatchObject({ frame: { kind: 'done', tag: 0 } });
  expect(await starter.receive()).toBe(undefined);
  expect(await creator.exit).toEqual({ code: 0, signal: undefined });
  starter.close();
  for (const handle of [state, back, found, creator.process]) handle.close();
});

test('the descriptors that the caller gave are known from all others', async () => {
  const given = [openSync('/dev/null', 'r'), openSync('/dev/full', 'r')];
  const [nothing, full] = ['/dev/null', '/dev/full'].map((path) => statSync(path).rdev);
  expect(await runFixture('inherited', { descriptors: given })).toMatchObject({
    found: { 3: nothing, 4: full },
    closed: true,
  });
  expect(await runFixture('inherited', { descriptors: [] })).toMatchObject({ found: {} });
  for (const fd of given) closeSync(fd);
  for (const fd of [-1, 1.5]) expect(() => processes.inherited(fd)).toThrow(/is a number from 0 on/);
});

test('a blob has its content at its beginning, and nobody can change it', async () => {
  const blob = host.kernel.blob(new TextEncoder().encode('{"id":"x"}')) as { fd: number } & ReturnType<
    typeof host.kernel.blob
  >;
  const path = `/proc/self/fd/${blob.fd}`;
  expect(readFileSync(path, 'utf8')).toBe('{"id":"x"}');
  expect(readFileSync(`/proc/self/fdinfo/${blob.fd}`, 'utf8')).toMatch(/pos:\s+0\n/);
  await expect(host.files.write(path, 'y')).rejects.toMatchObject({ code: 'EPERM' });
  blob.close();
  const empty = host.kernel.blob(new Uint8Array(0));
  empty.close();
});
