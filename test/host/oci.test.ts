import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { type CgroupManager, create, type Made } from '../../lib/host/oci/create.ts';
import { removeContainer } from '../../lib/host/oci/delete.ts';
import { killContainer } from '../../lib/host/oci/kill.ts';
import { listContainers } from '../../lib/host/oci/list.ts';
import { start, startMade } from '../../lib/host/oci/start.ts';
import { containerState } from '../../lib/host/oci/state.ts';
import { updateContainer } from '../../lib/host/oci/update.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { facts } from '../plans/requests.ts';
import { type Fault, Sim } from '../support/sim.ts';

const root = '/run/runts';
const files = { '/bundle/rootfs': null, '/bundle/rootfs/etc/passwd': 'root:x:0:0::/root:/bin/sh\n' };
const warn = () => undefined;
const spec = {
  ...defaultSpec(),
  root: { path: 'rootfs', readonly: false },
  hooks: {
    createRuntime: [{ path: '/bin/hook' }],
    poststart: [{ path: '/bin/hook' }],
    poststop: [{ path: '/bin/hook' }],
  },
} as unknown as Spec;

function world(seed: number, fault?: Fault): Sim {
  return new Sim({ seed, files, fault, environment: { uid: 0, gid: 0, privileged: true } });
}

const remove = (sim: Sim) => removeContainer(sim.host, root, 'c1', { force: true, warn });

const make = (sim: Sim, cgroupManager: CgroupManager, starts = false): Promise<Made> =>
  create(sim.host, facts('root'), {
    root,
    id: 'c1',
    bundle: '/bundle',
    spec,
    owner: 'root',
    preserveFds: 0,
    noPivot: false,
    noNewKeyring: false,
    cgroupManager,
    starts,
    stdio: [sim.handle('stdin'), sim.handle('stdout'), sim.handle('stderr')],
    warn,
    cancel: sim.signal,
  });

/** What three commands do, one after another: create, start, delete. */
async function life(sim: Sim, manager: CgroupManager): Promise<void> {
  const made = await make(sim, manager);
  made.release();
  await start(sim.host, root, 'c1', { warn });
  await remove(sim);
}

/** What `run` does. */
async function oneCommand(sim: Sim, manager: CgroupManager): Promise<void> {
  const made = await make(sim, manager, true);
  try {
    await startMade(sim.host, made.waiting, { warn });
  } finally {
    made.release();
  }
  await remove(sim);
}

async function live(manager: CgroupManager, seed: number, fault?: Fault, whole = life) {
  const sim = world(seed, fault);
  const error = await sim.run(whole(sim, manager)).then(
    () => undefined,
    (e: unknown) => e,
  );
  await sim.settle();
  return { sim, error };
}

describe.each(['disabled', 'cgroupfs'] as const)('a container of three commands, cgroups %s', (manager) => {
  test('is listed from its first moment on, with the state that it is in', async () => {
    const sim = world(1);
    const made = await sim.run(make(sim, manager));
    expect(await sim.run(containerState(sim.host, root, 'c1'))).toMatchObject({ status: 'created', pid: made.pid });
    made.release();
    await sim.run(start(sim.host, root, 'c1', { warn }));
    expect(await sim.run(listContainers(sim.host, root))).toMatchObject([{ id: 'c1', state: { status: 'running' } }]);
    await expect(sim.run(start(sim.host, root, 'c1', { warn }))).rejects.toMatchObject({
      code: 'ERR_STATE',
      message: expect.stringContaining('cannot start an already running container'),
    });
    await sim.run(remove(sim));
    expect(await sim.run(listContainers(sim.host, root))).toEqual([]);
  });

  test('is started over its channel by who has made it, and has no socket', async () => {
    const sim = world(1);
    const made = await sim.run(make(sim, manager, true));
    expect(sim.calls.filter((call) => call.startsWith('listen'))).toEqual([]);
    await sim.run(startMade(sim.host, made.waiting, { warn }));
    expect(await sim.run(containerState(sim.host, root, 'c1'))).toMatchObject({ status: 'running', pid: made.pid });
    made.release();
    await sim.run(remove(sim));
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
  });
});

test('what is deleted while others look at it does not exist for them, and is deleted for who deletes it too', async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const sim = world(seed);
    const made = await sim.run(make(sim, 'cgroupfs'));
    made.release();
    await sim.run(start(sim.host, root, 'c1', { warn }));
    const looks = [
      () => updateContainer(sim.host, root, 'c1', { resources: {}, warn }, facts('root')),
      () => killContainer(sim.host, root, 'c1', 15, { all: false }),
      () => containerState(sim.host, root, 'c1'),
    ];
    const look = async (number: number): Promise<void> => {
      // Each begins a moment after the one before it.
      for (let i = 0; i < number; i++) await sim.host.files.kind('/run');
      const error = await looks[number % looks.length]?.().catch((e: unknown) => e);
      if (error instanceof Error) expect(error.message).toMatch(/does not exist|not running/);
      if (number % 20 === 0) await remove(sim);
    };
    await sim.run(Promise.all([remove(sim), ...Array.from({ length: 60 }, (_, number) => look(number))]));
    await sim.settle();
    expect({ seed, leaks: sim.leaks() }).toEqual({ seed, leaks: [] });
  }
});

const lives = [
  ['three commands', life],
  ['one command', oneCommand],
] as const;

describe.each(
  lives.flatMap(([name, whole]) => (['disabled', 'cgroupfs'] as const).map((manager) => ({ name, whole, manager }))),
)('a container of $name, cgroups $manager', ({ whole, manager }) => {
  test('leaves nothing behind, whatever the order of events', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const { sim, error } = await live(manager, seed, undefined, whole);
      expect({ seed, error, leaks: sim.leaks() }).toEqual({ seed, error: undefined, leaks: [] });
    }
  });

  test.each(['crash', 'late', 'cancel', 'fail', 'hang'] as const)(
    'can be removed, whole, after any single call of a port went wrong: %s',
    async (kind) => {
      for (const seed of [1, 2]) {
        const { calls } = (await live(manager, seed, undefined, whole)).sim;
        const count = calls.length;
        expect(count).toBeGreaterThan(40);
        for (let at = 0; at < count; at++) {
          // A hook has the time that its configuration gives it, and these have all of it.
          if (kind === 'hang' && calls[at]?.startsWith('run ')) continue;
          const { sim, error } = await live(manager, seed, { at, kind }, whole);
          const where = { seed, at, name: sim.calls[at] };
          if (kind !== 'crash' && error !== undefined)
            expect({ ...where, runts: RuntsError.is(error), error }).toMatchObject({ runts: true });
          // Whatever was being done, it ends.
          expect({ ...where, late: sim.nowMs - 1_700_000_000_000 > 400_000 }).toEqual({ ...where, late: false });
          await sim.run(remove(sim));
          await sim.settle();
          expect({ ...where, leaks: sim.leaks() }).toEqual({ ...where, leaks: [] });
        }
      }
    },
    120_000,
  );
});
