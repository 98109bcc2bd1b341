import { expect, test } from 'vitest';
import type { Host, Processes, Session } from '../../lib/host/host.ts';
import { holdKeepers, type Kept, keep } from '../../lib/host/keepers.ts';
import type { Maps } from '../../lib/plan/plan.ts';
import { limits } from '../../lib/program/limits.ts';
import { Sim } from '../support/sim.ts';

const patience = { deadlineMs: 1000 };
const ids = [{ container: 0, host: 1000, size: 1 }];
const maps: Maps = { uids: ids, gids: ids, setgroups: 'deny', by: 'write', origin: 'test' };

async function kept(host: Host, name: string, of?: Maps): Promise<Kept> {
  const directory = await host.files.open('/', 'directory');
  try {
    return await keep(host, { removals: [{ what: 'tree', directory, name }], maps: of }, patience);
  } finally {
    directory.close();
  }
}

const keepers = (sim: Sim) => sim.calls.filter((call) => call === 'spawn').length;

test('what has the same ids has the same keeper, which ends with the last of it', async () => {
  const sim = new Sim();
  await sim.run(
    (async () => {
      const all = await Promise.all([kept(sim.host, 'a'), kept(sim.host, 'b'), kept(sim.host, 'c', maps)]);
      expect(keepers(sim)).toBe(2);
      await all[0]!.release();
      await (await kept(sim.host, 'd')).dismiss();
      expect(keepers(sim)).toBe(2);
      for (const each of all) await each.dismiss();
    })(),
  );
  expect(sim.leaks()).toEqual([]);
});

test('who holds keepers has one ready also when there is nothing to keep', async () => {
  const sim = new Sim();
  await sim.run(
    (async () => {
      const [letGo, letGoToo] = [holdKeepers(sim.host), holdKeepers(sim.host)];
      for (const name of ['a', 'b', 'c']) await (await kept(sim.host, name)).release();
      await letGo();
      await letGo();
      const last = await kept(sim.host, 'd');
      expect(keepers(sim)).toBe(1);
      await letGoToo();
      await last.release();
    })(),
  );
  expect(sim.leaks()).toEqual([]);
});

test('what one keeper has no room for another one keeps', async () => {
  const sim = new Sim();
  await sim.run(
    (async () => {
      const names = Array.from({ length: limits.programsKeptMax + 1 }, (_, i) => `name-${i}`);
      const all = await Promise.all(names.map((name) => kept(sim.host, name)));
      expect(keepers(sim)).toBe(2);
      for (const each of all) await each.release();
    })(),
  );
  expect(sim.leaks()).toEqual([]);
});

test('where a keeper is killed, what it had kept cannot be released by it, and what comes has another one', async () => {
  const sim = new Sim();
  const { processes } = sim.host;
  const started: Session[] = [];
  const spawn: Processes['spawn'] = async (request) => {
    const session = await processes.spawn(request);
    started.push(session);
    return session;
  };
  const host = { ...sim.host, processes: { ...processes, spawn } };
  await sim.run(
    (async () => {
      const letGo = holdKeepers(host);
      const first = await kept(host, 'a');
      processes.signal(started[0]!.process, 9);
      await expect(first.release()).rejects.toThrow(/keeper/);
      await (await kept(host, 'b')).release();
      expect(keepers(sim)).toBe(2);
      await letGo();
    })(),
  );
  expect(sim.leaks()).toEqual([]);
});
