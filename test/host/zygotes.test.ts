import { expect, test } from 'vitest';
import type { Processes, Session, SpawnRequest } from '../../lib/host/host.ts';
import { Zygotes } from '../../lib/host/zygotes.ts';
import type { Maps } from '../../lib/plan/plan.ts';
import { encode } from '../../lib/program/encode.ts';
import { segmentMessages } from '../../lib/program/frames.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { halt, op } from '../support/ops.ts';
import { Sim } from '../support/sim.ts';

const ids = [
  { container: 0, host: 1000, size: 1 },
  { container: 1, host: 100_000, size: 65_535 },
];
const mapsBy = (by: Maps['by']): Maps => ({ uids: ids, gids: ids, setgroups: 'allow', by, origin: 'test' });

async function endOf(processes: Processes, session: Session): Promise<void> {
  processes.signal(session.process, 9);
  session.close();
  await session.exit;
  session.process.close();
}

/** Makes inits and ends them, one after the other, where no zygote ever answers. */
async function make(sim: Sim, count: number, by: Maps['by']): Promise<void> {
  const zygotes = new Zygotes(sim.host);
  for (let i = 0; i < count; i++) {
    const { processes } = zygotes.host;
    const session = await processes.spawn({ flags: namespaceFlags.user, maps: mapsBy(by) });
    expect(session.mapped).not.toBe(true);
    await endOf(processes, session);
  }
  await zygotes.close();
}

const asked = (sim: Sim) => sim.calls.filter((call) => call === 'spawnBy').length;

test('what a zygote does not do is done without it, and nothing of it is left', async () => {
  const sim = new Sim();
  await sim.run(make(sim, 3, 'newuidmap'));
  await sim.settle();
  expect(asked(sim)).toBe(2);
  expect(sim.leaks()).toEqual([]);
});

test('a zygote that cannot be started costs nobody a container, whatever is refused', async () => {
  for (let at = 1; at < 12; at++) {
    const sim = new Sim({ fault: { at, kind: 'fail', errno: 'EPERM' }, seed: at });
    await sim.run(make(sim, 2, 'newuidmap')).catch((error: unknown) => {
      // Of the inits themselves, which are not made again.
      expect(sim.calls[at], String(error)).toBe('spawn');
    });
    await sim.settle();
    if (sim.calls[at] !== 'spawn') expect(sim.leaks()).toEqual([]);
  }
});

test('who writes maps with a word needs no zygote', async () => {
  const sim = new Sim();
  await sim.run(make(sim, 3, 'write'));
  expect(asked(sim)).toBe(0);
});

/** Makes inits with their errand at hand, which a zygote of copies is asked for once there is one. */
async function copy(sim: Sim, count: number): Promise<void> {
  const zygotes = new Zygotes(sim.host);
  for (let i = 0; i < count; i++) {
    const { processes } = zygotes.host;
    const session = await processes.spawn({ flags: 0, errand });
    await endOf(processes, session);
    await turns(sim);
  }
  await zygotes.close();
}

/** Nobody waits for a zygote to start. */
async function turns({ host }: Sim): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await host.files.read('/proc/self/stat').catch(() => undefined);
}

const errand = { messages: segmentMessages(encode({ inputs: [], ops: [op('sync', { tag: 7 }), halt] })), handles: [] };
const copied = (sim: Sim) => sim.calls.filter((call) => call === 'forkBy').length;

test('what a zygote makes no copy for is done without it, and nothing of it is left', async () => {
  const sim = new Sim();
  await sim.run(copy(sim, 6));
  await sim.settle();
  expect(copied(sim)).toBeGreaterThan(1);
  // Each that was asked has been replaced.
  expect(sim.calls.filter((call) => call === 'spawn')).toHaveLength(6 + copied(sim) + 1);
  expect(sim.leaks()).toEqual([]);
});

test('a zygote of copies that cannot be started costs nobody a command, whatever is refused', async () => {
  for (let at = 1; at < 40; at++) {
    const sim = new Sim({ fault: { at, kind: 'fail', errno: 'EPERM' }, seed: at });
    await sim.run(copy(sim, 3)).catch((error: unknown) => {
      // Of the inits themselves, which are not made again.
      expect(sim.calls[at], String(error)).toBe('spawn');
    });
    await sim.settle();
    if (sim.calls[at] !== 'spawn') expect(sim.leaks()).toEqual([]);
  }
});

test('who has no errand at hand, or is to have namespaces or another owner, or must look before, is no copy', async () => {
  const sim = new Sim();
  const zygotes = new Zygotes(sim.host);
  const make = async (request: SpawnRequest) => {
    for (let i = 0; i < 3; i++) {
      const session = await zygotes.host.processes.spawn(request);
      await endOf(zygotes.host.processes, session);
    }
  };
  const requests: SpawnRequest[] = [
    { flags: 0 },
    { flags: 0, errand: () => errand },
    { flags: namespaceFlags.mount, errand },
    { flags: 0, errand, detached: true },
    { flags: 0, errand, looks: [] },
  ];
  for (const request of requests) await sim.run(make(request));
  await sim.run(zygotes.close());
  await sim.settle();
  expect(copied(sim)).toBe(0);
  expect(sim.calls.filter((call) => call === 'spawn')).toHaveLength(3 * requests.length);
  expect(sim.leaks()).toEqual([]);
});

test('a zygote that did not answer, and may have, is not asked again: who asked hears that', async () => {
  const sim = new Sim();
  const late = Object.assign(new Error('ETIMEDOUT'), { code: 'ETIMEDOUT' });
  let asked = 0;
  const forkBy = () => {
    asked++;
    return Promise.reject(late);
  };
  const zygotes = new Zygotes({ ...sim.host, processes: { ...sim.host.processes, forkBy } });
  const { processes } = zygotes.host;
  const work = async (): Promise<unknown> => {
    for (let i = 0; i < 20; i++) {
      const session = await processes.spawn({ flags: 0, errand });
      await endOf(processes, session);
      await turns(sim);
    }
    return undefined;
  };
  expect(await sim.run(work().catch((error: unknown) => error))).toBe(late);
  await sim.run(zygotes.close());
  await sim.settle();
  expect(asked).toBe(1);
  expect(sim.leaks()).toEqual([]);
});

test('who is to have an init that waits, and finds no zygote, has none; but who comes soon after finds one', async () => {
  const sim = new Sim();
  let asked = 0;
  const forkAhead = () => {
    asked++;
    throw Object.assign(new Error('EPIPE'), { code: 'EPIPE' });
  };
  const forkBy = () => sim.host.processes.spawn({ flags: 0 });
  const zygotes = new Zygotes({ ...sim.host, processes: { ...sim.host.processes, forkAhead, forkBy } });
  const { processes } = zygotes.host;
  const work = async () => {
    for (let i = 0; i < 2; i++) {
      expect(processes.ahead({ errand })).toBeUndefined();
      await turns(sim);
    }
    expect(asked).toBe(0);
    // The first one is gone then.
    for (let i = 0; i < 2; i++) expect(processes.ahead({ errand })).toBeUndefined();
    expect(asked).toBe(1);
  };
  await sim.run(work());
  await sim.run(zygotes.close());
  expect(processes.ahead({ errand })).toBeUndefined();
  await sim.settle();
  expect(asked).toBe(1);
  expect(sim.leaks()).toEqual([]);
});
