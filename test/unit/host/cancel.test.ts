import { expect, test } from 'vitest';
import { within } from '../../../lib/host/cancel.ts';
import { Sim } from '../../support/sim.ts';

const bound = (sim: Sim, late: unknown[] = []) => ({
  clock: sim.host.clock,
  deadlineMs: 100,
  cancel: sim.signal,
  doing: 'testing',
  late: (value: unknown) => late.push(value),
});

test('work in time is given as it is, with its failure', async () => {
  const sim = new Sim();
  expect(await sim.run(within(Promise.resolve(5), bound(sim)))).toBe(5);
  await expect(sim.run(within(Promise.reject(new Error('x')), bound(sim)))).rejects.toThrow('x');
  expect(sim.leaks()).toEqual([]);
});

test('work past its deadline is ERR_TIMEOUT, and what it gives later is released', async () => {
  const sim = new Sim();
  const late: unknown[] = [];
  let finish: (value: string) => void = () => {};
  const work = new Promise<string>((resolve) => {
    finish = resolve;
  });
  await expect(sim.run(within(work, bound(sim, late)))).rejects.toMatchObject({ code: 'ERR_TIMEOUT' });
  finish('handle');
  await sim.settle();
  expect(late).toEqual(['handle']);
});

test('a cancellation ends the wait at once, or after the grace that lets the work be released in order', async () => {
  for (const graceMs of [0, 50]) {
    const sim = new Sim();
    const startMs = sim.nowMs;
    const work = within(new Promise(() => {}), { ...bound(sim), graceMs });
    sim.canceler.abort('enough');
    await expect(sim.run(work)).rejects.toMatchObject({ code: 'ERR_CANCELED', cause: 'enough' });
    expect(sim.nowMs - startMs).toBe(graceMs);
    expect(sim.leaks()).toEqual([]);
  }
});

test('what was made while the cancellation came is released before the answer', async () => {
  const sim = new Sim();
  const late: unknown[] = [];
  const work = within(sim.host.files.open('/run', 'path'), {
    ...bound(sim),
    graceMs: 50,
    late: (handle) => {
      handle.close();
      late.push('closed');
    },
  });
  sim.canceler.abort();
  await expect(sim.run(work)).rejects.toMatchObject({ code: 'ERR_CANCELED' });
  expect(late).toEqual(['closed']);
  expect(sim.leaks()).toEqual([]);
});
