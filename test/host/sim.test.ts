import { expect, test } from 'vitest';
import type { Handle, Session } from '../../lib/host/host.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import type { Op } from '../../lib/program/ops.ts';
import { Sim, type SimOptions } from '../support/sim.ts';

// The simulator is held to what the ports promise, so that what is proven over it means something.

const op = (name: string, operands: object): Op => ({ op: name, operands, origin: 'test' }) as unknown as Op;
const [created, started] = [1003, 1];
const path = '/run/c1/start.sock';
const files = { '/run/c1': null };

/** An init that waits to be started, and what its creator still holds. */
async function create(sim: Sim, ops: readonly Op[] = [op('exec', { files: ['/x'], argv: ['x'], env: [] })]) {
  const { processes, sockets } = sim.host;
  const listener = await sockets.listen(path);
  const session = await processes.spawn({ flags: 0 });
  const waits = [
    op('sync', { tag: created }),
    op('await_start', { listener: 'listener', dst: 'state', tag: started }),
    ...ops,
  ];
  for (const message of segmentMessages(encode({ inputs: ['listener'], ops: waits })))
    await session.send(message, [listener]);
  expect(await frame(session)).toMatchObject({ kind: 'sync', tag: created });
  await session.send(goMessage(created));
  listener.close();
  return session;
}

async function frame(session: Session) {
  const message = await session.receive();
  return message && decodeFrame(message.bytes);
}

function release(session: Session): void {
  session.close();
  session.process.close();
}

async function found(sim: Sim, pid: number): Promise<Handle> {
  const handle = await sim.host.processes.find(pid);
  if (handle === undefined) throw new Error(`no process ${pid}`);
  return handle;
}

const over = async (options: SimOptions, work: (sim: Sim) => Promise<void>) => {
  for (let seed = 1; seed <= 20; seed++) {
    const sim = new Sim({ seed, files, ...options });
    await sim.run(work(sim));
    await sim.settle();
    expect({ seed, leaks: sim.leaks().filter((leak) => !leak.startsWith('file')) }).toEqual({ seed, leaks: [] });
  }
};

test('an init that waits outlives its creator, and goes on with whoever starts it', () =>
  over({ command: { afterMs: 1000, code: 3 } }, async (sim) => {
    const first = await create(sim);
    release(first);
    const process = await found(sim, first.pid);
    const second = await sim.host.processes.connect(path, first.pid, process);
    expect(await frame(second)).toMatchObject({ kind: 'sync', tag: started });
    const state = sim.host.kernel.blob(new Uint8Array(3));
    await second.send(goMessage(started), [state]);
    state.close();
    expect(await second.receive()).toBe(undefined);
    second.close();
    await expect(sim.host.processes.connect(path, first.pid, process)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await sim.host.processes.ended(process);
    expect(await second.exit).toEqual({ code: undefined, signal: undefined });
    expect(await first.exit).toEqual({ code: 3, signal: undefined });
    expect(await sim.host.processes.find(first.pid)).toBe(undefined);
    process.close();
  }));

test('a starter that leaves before its GO is forgotten, and the next one is served', () =>
  over({ command: { afterMs: 1 } }, async (sim) => {
    const first = await create(sim);
    for (const goes of [false, true]) {
      const second = await sim.host.processes.connect(path, first.pid, first.process);
      expect(await frame(second)).toMatchObject({ kind: 'sync', tag: started });
      const state = sim.host.kernel.blob(new Uint8Array(3));
      if (goes) await second.send(goMessage(started), [state]);
      if (goes) expect(await second.receive()).toBe(undefined);
      state.close();
      second.close();
    }
    await first.exit;
    release(first);
  }));

test('a starter that says something else is hung up on, and the next one is served', () =>
  over({ command: { afterMs: 1 } }, async (sim) => {
    const first = await create(sim);
    const wrong = await sim.host.processes.connect(path, first.pid, first.process);
    await wrong.receive();
    await wrong.send(goMessage(started));
    expect(await wrong.receive()).toBe(undefined);
    wrong.close();
    const second = await sim.host.processes.connect(path, first.pid, first.process);
    expect(await frame(second)).toMatchObject({ kind: 'sync', tag: started });
    second.close();
    sim.host.processes.signal(first.process, 9);
    await first.exit;
    release(first);
  }));

test('an init whose creator goes before it says that all is made ends', () =>
  over({}, async (sim) => {
    const listener = await sim.host.sockets.listen(path);
    const session = await sim.host.processes.spawn({ flags: 0 });
    const ops = [op('sync', { tag: created }), op('await_start', { listener: 'l', dst: 's', tag: started })];
    const [message] = segmentMessages(encode({ inputs: ['l'], ops: [...ops, op('halt', {})] }));
    await session.send(message as Uint8Array, [listener]);
    await session.receive();
    session.close();
    expect(await session.exit).toEqual({ code: 125, signal: undefined });
    listener.close();
    const [pid, process] = [session.pid, session.process];
    await expect(sim.host.processes.connect(path, pid, process)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    process.close();
  }));

test('who waits in the queue of an init that is killed is told', () =>
  over({}, async (sim) => {
    const first = await create(sim);
    const [second, third] = [
      await sim.host.processes.connect(path, first.pid, first.process),
      await sim.host.processes.connect(path, first.pid, first.process),
    ];
    expect(await frame(second)).toMatchObject({ kind: 'sync' });
    sim.host.processes.signal(first.process, 9);
    expect(await second.receive()).toBe(undefined);
    expect(await third.receive()).toBe(undefined);
    await expect(third.send(goMessage(started))).rejects.toMatchObject({ code: 'EPIPE' });
    for (const session of [second, third]) session.close();
    await first.exit;
    release(first);
  }));

test('a host that is killed hears nothing any more, and the next one finds what it left', async () => {
  for (let at = 0; at < 7; at++) {
    const sim = new Sim({ seed: at + 1, files, fault: { at, kind: 'crash' } });
    let heard = false;
    const work = create(sim).then(async (session) => {
      heard = true;
      release(session);
    });
    const killed = await sim.run(work).then(
      () => false,
      (error: Error) => error.message === 'the host was killed',
    );
    await sim.settle();
    expect({ at, killed, heard }).toEqual({ at, killed: at < 5, heard: at >= 5 });
    // Its descriptors are closed with it; an init that was not told that all is made has ended.
    const left = sim.leaks().filter((leak) => !leak.startsWith('file'));
    expect({ at, left }).toEqual({ at, left: at < 5 ? [] : ['alive: 0'] });
  }
});

test('a watch tells of changes, and of the end of a file', () =>
  over({ files: { '/run/file': 'a' } }, async (sim) => {
    const watch = await sim.host.files.watch('/run/file');
    const change = watch.changed();
    await sim.host.files.write('/run/file', 'b');
    await change;
    await sim.host.files.write('/run/file', 'c');
    await watch.changed();
    const last = watch.changed();
    await sim.host.files.removeFile('/run/file');
    await last;
    const never = watch.changed();
    watch.close();
    await expect(never).rejects.toMatchObject({ code: 'ERR_STATE' });
  }));

test('a stream reaches whoever serves it', () =>
  over({ serves: (at, { say }) => (at === '/run/bus' ? (bytes) => say(bytes) : undefined) }, async (sim) => {
    await expect(sim.host.sockets.connect('/run/none')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const stream = await sim.host.sockets.connect('/run/bus');
    await stream.write(new Uint8Array([1, 2]));
    expect(await stream.read()).toEqual(new Uint8Array([1, 2]));
    const end = stream.read();
    stream.close();
    expect(await end).toBe(undefined);
  }));
