// Ops of a container that is created by one process and started by another.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Handle, Session } from '../../lib/host/host.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import type { Op } from '../../lib/program/ops.ts';
import { until } from '../support/look.ts';
import { directory, halt, host, op, opened, succeed } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const next = async (session: Session) => {
  const message = await session.receive();
  return message && decodeFrame(message.bytes);
};

/** A file with this content, as a handle. */
async function file(content: string): Promise<Handle> {
  const path = `${directory()}/file`;
  writeFileSync(path, content);
  const handle = await host.files.open(path, 'read');
  onTestFinished(() => handle.close());
  return handle;
}

async function started(ops: readonly Op[], inputs: Readonly<Record<string, Handle>> = {}): Promise<Session> {
  const session = await host.processes.spawn({ flags: 0 });
  onTestFinished(() => session.close());
  const program = encode({ inputs: Object.keys(inputs), ops });
  for (const message of segmentMessages(program)) await session.send(message, Object.values(inputs));
  return session;
}

describe('receive', () => {
  const receive = op('receive', { dst: 'state', tag: 5 });

  test('waits for the GO of its tag, and takes the handle that comes with it', async () => {
    const content = await file('the state');
    const { paths } = await succeed([receive, op('send_handle', { src: 'state', tag: 6 })], { gives: { 5: content } });
    expect(readFileSync(paths.get(6)!, 'utf8')).toBe('the state');
  });

  test.each([
    ['no handle', 5, 0],
    ['two handles', 5, 2],
    ['another tag', 6, 1],
  ])('refuses a GO with %s', async (_what, tag, count) => {
    const session = await started([receive, halt]);
    expect(await next(session)).toEqual({ kind: 'sync', tag: 5 });
    const content = await file('');
    await session.send(goMessage(tag), Array<Handle>(count).fill(content));
    expect(await next(session)).toMatchObject({ kind: 'error', op: 'receive', step: 'sendmsg', errno: 74 });
    expect(await session.exit).toEqual({ code: 125, signal: undefined });
  });

  test('ends with the channel', async () => {
    const session = await started([receive, halt]);
    await next(session);
    session.close();
    expect(await session.exit).toEqual({ code: 125, signal: undefined });
  });
});

test('sync refuses a GO with a handle', async () => {
  const session = await started([op('sync', { tag: 5 }), halt]);
  await next(session);
  await session.send(goMessage(5), [await file('')]);
  expect(await next(session)).toMatchObject({ kind: 'error', op: 'sync', errno: 74 });
});

describe('await_start', () => {
  const created = op('sync', { tag: 1 });
  const start = op('await_start', { listener: 'listener', dst: 'state', tag: 2 });

  /** An init that waits for its start, with the one that made it gone; and how to reach it. */
  async function waiting(rest: readonly Op[]) {
    const path = `${directory()}/start.sock`;
    const listener = await host.sockets.listen(path);
    const session = await started([created, start, ...rest], { listener });
    listener.close();
    expect(await next(session)).toEqual({ kind: 'sync', tag: 1 });
    await session.send(goMessage(1));
    const { pid, process, exit } = session;
    const connect = async () => {
      const connected = await host.processes.connect(path, pid, process);
      onTestFinished(() => connected.close());
      return connected;
    };
    return { path, session, exit, connect };
  }
  const written = (at: string) => [
    opened('d', at),
    op('file', { root: 'd', path: 'file', mode: 0o644, content: Buffer.from('x') }),
  ];

  test('goes on when somebody says GO, though the one that made it is gone', async () => {
    const { session, exit, connect } = await waiting([op('send_handle', { src: 'state', tag: 7 }), halt]);
    session.close();
    const connected = await connect();
    expect(await next(connected)).toEqual({ kind: 'sync', tag: 2 });
    await connected.send(goMessage(2), [await file('the state')]);
    expect(await next(connected)).toEqual({ kind: 'handle', tag: 7 });
    expect(await next(connected)).toEqual({ kind: 'done', tag: 0 });
    expect(await next(connected)).toBe(undefined);
    expect(await exit).toEqual({ code: 0, signal: undefined });
  });

  test('forgets whoever goes before the GO, or says something else, and waits for the next', async () => {
    const at = directory();
    const { exit, connect } = await waiting([...written(at), halt]);
    const content = await file('');
    const refused: ((session: Session) => Promise<unknown>)[] = [
      async (session) => session.close(),
      (session) => session.send(goMessage(1), [content]),
      (session) => session.send(goMessage(2)),
      (session) => session.send(goMessage(2), [content, content]),
      (session) => session.send(segmentMessages(encode({ inputs: [], ops: [halt] }))[0]!, [content]),
      (session) => session.send(new Uint8Array(3)),
    ];
    for (const say of refused) {
      const connected = await connect();
      expect(await next(connected)).toEqual({ kind: 'sync', tag: 2 });
      await say(connected);
      if (say !== refused[0]) expect(await next(connected)).toBe(undefined);
    }
    expect(() => readFileSync(`${at}/file`)).toThrow(/ENOENT/);
    const connected = await connect();
    await connected.send(goMessage(2), [content]);
    await next(connected);
    expect(await next(connected)).toEqual({ kind: 'done', tag: 0 });
    expect(await exit).toEqual({ code: 0, signal: undefined });
    expect(readFileSync(`${at}/file`, 'utf8')).toBe('x');
  });

  test('takes no time while it waits', async () => {
    const { session, exit, connect } = await waiting([halt]);
    session.close();
    (await connect()).close();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [user, system] = readFileSync(`/proc/${session.pid}/stat`, 'utf8').split(' ').slice(13, 15).map(Number);
    expect(user! + system!).toBeLessThan(5); // hundredths of a second
    await (await connect()).send(goMessage(2), [await file('')]);
    await exit;
  });

  test('a failure after it is told to the one who started', async () => {
    const { connect } = await waiting([op('chdir', { path: '/nonexistent' }), halt]);
    const connected = await connect();
    await next(connected);
    await connected.send(goMessage(2), [await file('')]);
    expect(await next(connected)).toMatchObject({ kind: 'error', op: 'chdir', detail: '/nonexistent' });
  });

  testIf('busybox')('the connection ends with the exec, and the socket refuses then', async () => {
    const command = op('exec', { files: ['/bin/busybox'], argv: ['busybox', 'sleep', '20'], env: [] });
    const { connect, session } = await waiting([op('close_from', { fd: 3 }), command]);
    const connected = await connect();
    await next(connected);
    await connected.send(goMessage(2), [await file('')]);
    expect(await next(connected)).toBe(undefined);
    expect(readFileSync(`/proc/${session.pid}/cmdline`, 'utf8')).toContain('sleep');
    await expect(connect()).rejects.toThrow(/ECONNREFUSED/);
    host.processes.signal(session.process, 9);
  });

  testIf('busybox')('what ends in the container meanwhile leaves no zombie', async () => {
    const { session, exit, connect } = await waiting([halt]);
    // SIGCHLD is the seventeenth signal: the kernel collects the children of whoever ignores it.
    const ignored = () =>
      BigInt(`0x${/SigIgn:\t([0-9a-f]+)/.exec(readFileSync(`/proc/${session.pid}/status`, 'utf8'))![1]}`);
    expect(await until(() => ((ignored() >> 16n) & 1n) === 1n, 5000)).toBe(true);
    const connected = await connect();
    await connected.send(goMessage(2), [await file('')]);
    await exit;
  });

  test('what is no listening socket is refused', async () => {
    const session = await started([opened('listener', '/'), start, halt]);
    expect(await next(session)).toMatchObject({ kind: 'error', op: 'await_start', step: 'accept4' });
    const other = await started([start, halt], { listener: await file('') });
    expect(await next(other)).toMatchObject({ kind: 'error', op: 'await_start', step: 'accept4', errno: 88 });
  });
});
