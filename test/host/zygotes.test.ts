import { expect, test } from 'vitest';
import { Zygotes } from '../../lib/host/zygotes.ts';
import type { Maps } from '../../lib/plan/plan.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { Sim } from '../support/sim.ts';

const ids = [
  { container: 0, host: 1000, size: 1 },
  { container: 1, host: 100_000, size: 65_535 },
];
const mapsBy = (by: Maps['by']): Maps => ({ uids: ids, gids: ids, setgroups: 'allow', by, origin: 'test' });

/** Makes inits and ends them, one after the other, where no zygote ever answers. */
async function make(sim: Sim, count: number, by: Maps['by']): Promise<void> {
  const zygotes = new Zygotes(sim.host);
  for (let i = 0; i < count; i++) {
    const { processes } = zygotes.host;
    const session = await processes.spawn({ flags: namespaceFlags.user, maps: mapsBy(by) });
    expect(session.mapped).not.toBe(true);
    processes.signal(session.process, 9);
    session.close();
    await session.exit;
    session.process.close();
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
