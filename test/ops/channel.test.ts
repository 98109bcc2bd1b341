import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import type { Op } from '../../lib/program/ops.ts';
import { bytes, directory, halt, host, op, opened, run, succeed } from '../support/ops.ts';

async function started(ops: readonly Op[]) {
  const session = await host.processes.spawn({ flags: 0 });
  for (const message of segmentMessages(encode({ inputs: [], ops: [...ops, halt] }))) await session.send(message);
  return session;
}
const next = async (session: Awaited<ReturnType<typeof started>>) => {
  const message = await session.receive();
  return message && decodeFrame(message.bytes);
};

test('send_handle hands a register over', async () => {
  const path = directory();
  const file = op('file', { root: 'd', path: 'file', mode: 0o644, content: bytes('content') });
  const { paths } = await succeed([opened('d', path), file, op('send_handle', { src: 'd', tag: 9 })]);
  expect(readFileSync(`${paths.get(9)}/file`, 'utf8')).toBe('content');
});

test('sync waits for the GO of its tag', async () => {
  const session = await started([op('sync', { tag: 3 })]);
  expect(await next(session)).toEqual({ kind: 'sync', tag: 3 });
  await session.send(goMessage(4));
  expect(await next(session)).toMatchObject({ kind: 'error', op: 'sync', errno: 74 });
  expect(await session.exit).toEqual({ code: 125, signal: undefined });
});

test('sync ends with the channel', async () => {
  const session = await started([op('sync', { tag: 3 })]);
  await next(session);
  session.close();
  expect(await session.exit).toEqual({ code: 125, signal: undefined });
});

describe('next_program', () => {
  const segment = (ops: readonly Op[], inputs: readonly string[] = []) => segmentMessages(encode({ inputs, ops }));
  const waiting = async () => {
    const session = await host.processes.spawn({ flags: 0 });
    for (const message of segment([op('umask', { mask: 0o27 }), op('next_program', { tag: 5 })]))
      await session.send(message);
    expect(await next(session)).toEqual({ kind: 'sync', tag: 5 });
    return session;
  };

  test('ends a program, and has another one run in its place, time and again', async () => {
    const path = directory();
    const session = await waiting();
    const root = await host.files.open(path, 'directory');
    const file = op('file', { root: 'd', path: 'file', mode: 0o666, content: bytes('second') });
    const [second] = segment([file, op('close', { src: 'd' }), op('next_program', { tag: 6 })], ['d']);
    await session.send(second!, [root]);
    root.close();
    expect(await next(session)).toEqual({ kind: 'sync', tag: 6 });
    expect(readFileSync(`${path}/file`, 'utf8')).toBe('second');
    await session.send(segment([halt])[0]!);
    expect(await next(session)).toMatchObject({ kind: 'done' });
    expect(await session.exit).toEqual({ code: 0, signal: undefined });
  });

  test('takes no program that is none, and no GO', async () => {
    const broken = await waiting();
    const [message] = segment([halt]);
    message!.fill(0xff, 8, 16);
    await broken.send(message!);
    expect(await next(broken)).toMatchObject({ kind: 'error', step: 'verify' });
    expect(await broken.exit).toEqual({ code: 125, signal: undefined });
    const told = await waiting();
    await told.send(goMessage(5));
    expect(await told.exit).toEqual({ code: 125, signal: undefined });
  });

  test('ends with the channel', async () => {
    const session = await waiting();
    session.close();
    expect(await session.exit).toEqual({ code: 125, signal: undefined });
  });
});

test('until_hangup goes on when the channel ends, and at a GO', async () => {
  const path = directory();
  const ops = [
    opened('d', path),
    op('sync', { tag: 1 }),
    op('until_hangup', {}),
    op('remove_tree', { root: 'd', path: 'file' }),
  ];
  const file = op('file', { root: 'd', path: 'file', mode: 0o644, content: bytes('') });
  const after = [ops[0]!, file, ...ops.slice(1)];
  const hungUp = await started(after);
  expect(await next(hungUp)).toEqual({ kind: 'sync', tag: 1 });
  await hungUp.send(goMessage(1));
  hungUp.close();
  expect(await hungUp.exit).toEqual({ code: 0, signal: undefined });
  expect(() => readFileSync(`${path}/file`)).toThrow(/ENOENT/);

  const told = await started(after);
  await next(told);
  await told.send(goMessage(1));
  await told.send(goMessage(0));
  expect(await next(told)).toEqual({ kind: 'done', tag: 0 });
});

test('what is no program is refused, with the verifier’s reason', async () => {
  const program = encode({ inputs: [], ops: [halt] });
  program[4] = 9; // the version
  const session = await host.processes.spawn({ flags: 0 });
  for (const message of segmentMessages(program)) await session.send(message);
  expect(await next(session)).toMatchObject({ kind: 'error', step: 'verify', detail: 'version' });
  expect(await session.exit).toEqual({ code: 125, signal: undefined });
});

test('a program with other handles than it has inputs is refused', async () => {
  const program = encode({ inputs: ['a'], ops: [op('enter', { dir: 'a' }), halt] });
  const session = await host.processes.spawn({ flags: 0 });
  for (const message of segmentMessages(program)) await session.send(message);
  expect(await next(session)).toMatchObject({ kind: 'error', step: 'verify', detail: 'handles' });
});

test('a program of many messages arrives whole', async () => {
  const path = directory();
  const content = Buffer.alloc(1_000_000, 'x');
  const file = op('file', { root: 'd', path: 'file', mode: 0o644, content });
  await succeed([opened('d', path), file]);
  expect(readFileSync(`${path}/file`).equals(content)).toBe(true);
});

test.each([
  ['nothing', []],
  ['a GO where a program is due', [goMessage(0)]],
  ['a stretch that is longer than its program', [message(1, 8, 16)]],
  ['a size beyond the limit', [message(1, 0xffffffff, 8)]],
  ['an empty stretch', [message(1, 8, 0)]],
])('an init that receives %s ends', async (_what, messages) => {
  const session = await host.processes.spawn({ flags: 0 });
  for (const sent of messages) await session.send(sent);
  if (messages.length === 0) await session.send(new Uint8Array(3));
  expect(await session.exit).toEqual({ code: 125, signal: undefined });
});

function message(kind: number, value: number, body: number): Uint8Array {
  const sent = new Uint8Array(8 + body);
  new DataView(sent.buffer).setUint32(0, kind, true);
  new DataView(sent.buffer).setUint32(4, value, true);
  return sent;
}

test('a guarded failure is skipped, and its alternative passed over on success', async () => {
  const path = directory();
  const make = (name: string) => op('directory', { root: 'd', path: name, mode: 0o755 });
  const attempt = (target: string) =>
    op('file', { root: 'd', path: target, mode: 0o644, content: bytes('') }, { unless: ['EEXIST'], skip: 1 });
  const { frames } = await run([opened('d', path), attempt('a'), make('b'), attempt('a'), make('c'), halt]);
  expect(frames).toEqual([{ kind: 'done', tag: 0 }]);
  expect(readdirSync(path)).toEqual(['a', 'c']);
});
