import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { stop } from '../../lib/host/kill.ts';
import { remove } from '../../lib/host/remove.ts';
import { start } from '../../lib/host/start.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import { type Fault, Sim } from '../support/sim.ts';
import { createIn, fullPlan, hostFiles } from './plans.ts';

const command = { ignores: [15] };

/** A whole life: made, started, stopped (it resists), removed. Removal is tried whatever happened, as a user would. */
async function life(sim: Sim, plan: Plan): Promise<void> {
  const created = await createIn(sim, plan, { signal: sim.signal });
  try {
    const running = await start(created, { signal: sim.signal });
    await stop(running, { graceMs: 500 });
  } finally {
    await remove(created);
  }
}

interface Outcome {
  readonly error: unknown;
  readonly leaks: string[];
  /** Leaks at the moment of the answer, before late calls come back. */
  readonly atOnce: string[];
  readonly calls: readonly string[];
  readonly tookMs: number;
}

async function live(plan: Plan, seed: number, fault?: Fault): Promise<Outcome> {
  const sim = new Sim({ seed, files: hostFiles, command, fault });
  const startMs = sim.nowMs;
  let error: unknown;
  try {
    await sim.run(life(sim, plan));
  } catch (e) {
    error = e;
  }
  const atOnce = sim.leaks();
  const tookMs = sim.nowMs - startMs;
  await sim.settle();
  return { error, leaks: sim.leaks(), atOnce, calls: sim.calls, tookMs };
}

test('a cgroup has who removes it when we are killed, from before it is there', async () => {
  const { calls } = await live(fullPlan({ path: 'c1' }), 7);
  expect(calls.indexOf('makeDirectory /sys/fs/cgroup/c1')).toBeGreaterThan(calls.indexOf('spawn'));
});

/** Where the release itself is what fails, something must stay, and the error says so. */
const releases = (call: string) => /removeDirectory|cgroup\.kill|cgroup\.events|^list /.test(call);

describe.each([
  ['with a reaper', fullPlan()],
  ['without a reaper', fullPlan({ reaps: false })],
  ['whose cgroup is the only one to be made', fullPlan({ path: 'c1' })],
])('a container %s', (_, plan) => {
  test('leaves nothing behind, whatever the order of events', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { error, leaks } = await live(plan, seed);
      expect({ seed, error, leaks }).toEqual({ seed, error: undefined, leaks: [] });
    }
  });

  test.each(['fail', 'hang', 'late', 'cancel'] as const)(
    'survives every single call of a port going wrong: %s',
    async (kind) => {
      for (const seed of [1, 2, 3]) {
        const { calls } = await live(plan, seed);
        expect(calls.length).toBeGreaterThan(25);
        for (let at = 0; at < calls.length; at++) {
          const fault = { at, kind };
          const { error, leaks, calls: made, tookMs } = await live(plan, seed, fault);
          const name = made[at] ?? '';
          const where = { seed, at, name };
          if (error !== undefined)
            expect({ ...where, runts: RuntsError.is(error), error }).toMatchObject({ runts: true });
          // Only what a release may do without is passed over in silence.
          if ((kind === 'fail' || kind === 'hang') && error === undefined)
            expect(name).toMatch(/cgroup\.kill|^receive$/);
          if (kind === 'hang' && error !== undefined)
            expect({ ...where, error }).toMatchObject({ error: { code: 'ERR_TIMEOUT' } });
          expect({ ...where, tookMs: tookMs < 100_000 }).toEqual({ ...where, tookMs: true });
          if (releases(name) && kind !== 'cancel') {
            if (leaks.length > 0) expect({ ...where, error }).not.toEqual({ ...where, error: undefined });
          } else if (kind === 'late' && name.endsWith('/c1')) {
            // Made two minutes after everybody had gone: it is removed, but the directory above, which is shared, stays.
            expect(leaks.filter((leak) => leak.includes('/c1'))).toEqual([]);
          } else expect({ ...where, leaks }).toEqual({ ...where, leaks: [] });
        }
      }
    },
    120_000,
  );

  test('a cancellation at any call is answered with ERR_CANCELED or comes too late to matter', async () => {
    const { calls } = await live(plan, 7);
    let canceled = 0;
    for (let at = 0; at < calls.length; at++) {
      const { error, atOnce } = await live(plan, 7, { at, kind: 'cancel' });
      if (error === undefined) continue;
      canceled++;
      expect({ at, code: (error as RuntsError).code, atOnce }).toEqual({ at, code: 'ERR_CANCELED', atOnce: [] });
    }
    expect(canceled).toBeGreaterThan(20);
  });

  test('an init that dies, stalls, errs or talks nonsense before any op leaves nothing behind', async () => {
    const misdeeds = [
      { kind: 'die', exit: { code: undefined, signal: 9 } },
      { kind: 'die', exit: { code: 125, signal: undefined } },
      { kind: 'stall' },
      { kind: 'error', errno: 'EIO' },
      { kind: 'say', messages: [new Uint8Array(3)] },
      { kind: 'say', messages: [new Uint8Array(320)], handles: 2 },
    ] as const;
    for (const misdeed of misdeeds) {
      for (let at = 0; at < plan.segment.ops.length; at++) {
        const sim = new Sim({
          seed: at + 1,
          files: hostFiles,
          command,
          misdeed: (_op, index, process) => (process === 1 && index === at ? misdeed : undefined),
        });
        const error = await sim.run(life(sim, plan)).then(
          () => undefined,
          (e: unknown) => e,
        );
        await sim.settle();
        expect({ misdeed, at, leaks: sim.leaks() }).toEqual({ misdeed, at, leaks: [] });
        // After GO an init without a reaper that is killed looks like its command: it runs, and its exit is the signal.
        const seen = misdeed.kind !== 'die' || plan.reaps || at < 13;
        if (seen && misdeed.kind !== 'say')
          expect({ misdeed, at, runts: RuntsError.is(error) }).toMatchObject({ runts: true });
      }
    }
  });

  test('a helper that dies, stalls or errs leaves nothing behind', async () => {
    for (const misdeed of [
      { kind: 'die', exit: { code: 1, signal: undefined } },
      { kind: 'stall' },
      { kind: 'error', errno: 'ENOENT', detail: '/data' },
    ] as const) {
      for (let at = 0; at < 6; at++) {
        const sim = new Sim({
          files: hostFiles,
          command,
          misdeed: (_op, index, process) => (process === 2 && index === at ? misdeed : undefined),
        });
        const error = await sim.run(life(sim, plan)).then(
          () => undefined,
          (e: unknown) => e,
        );
        await sim.settle();
        expect({ at, runts: RuntsError.is(error), leaks: sim.leaks() }).toEqual({ at, runts: true, leaks: [] });
      }
    }
  });
});
