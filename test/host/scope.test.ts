import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { bounded } from '../../lib/host/bounded.ts';
import type { CgroupRecord } from '../../lib/host/cgroups/cgroup.ts';
import { intendCgroup } from '../../lib/host/cgroups/make.ts';
import { openCgroup } from '../../lib/host/cgroups/open.ts';
import { makeScope } from '../../lib/host/cgroups/scope.ts';
import { updateCgroup } from '../../lib/host/cgroups/update.ts';
import { create } from '../../lib/host/oci/create.ts';
import { removeContainer } from '../../lib/host/oci/delete.ts';
import { start } from '../../lib/host/oci/start.ts';
import type { CgroupPlan } from '../../lib/plan/plan.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { facts } from '../plans/requests.ts';
import { type Fault, Sim } from '../support/sim.ts';
import { cgroupRoot } from '../support/sim-files.ts';
import { ModelSystemd, type Trouble } from '../support/sim-systemd.ts';
import { failure } from './plans.ts';

const unit = 'runts-c1.scope';
const plan: CgroupPlan = {
  driver: 'systemd',
  parent: cgroupRoot,
  path: `a.slice/a-b.slice/${unit}`,
  controllers: [],
  writes: [{ controller: 'memory', file: 'memory.max', value: '4096', origin: '/linux/resources/memory/limit' }],
  deviceFilter: Uint8Array.of(1),
  unit: { manager: 'system', name: unit, slice: 'a-b.slice', properties: [] },
};
const path = `${cgroupRoot}/${plan.path}`;
const began = 1_700_000_000_000;

interface World {
  readonly sim: Sim;
  readonly systemd: ModelSystemd;
}

function world(seed = 1, fault?: Fault, files = {}): World {
  const systemd = new ModelSystemd();
  const environment = { uid: 0, gid: 0, privileged: true };
  const sim = new Sim({ seed, fault, files, environment, serves: systemd.serves });
  systemd.sim = sim;
  return { sim, systemd };
}

/** A process, and a scope for it. */
async function made({ sim }: World): Promise<{ readonly record: CgroupRecord; readonly end: () => void }> {
  const host = bounded(sim.host, { deadlineMs: 30_000, cancel: sim.signal });
  const steady = bounded(sim.host, { deadlineMs: 30_000 });
  const session = await sim.host.processes.spawn({ flags: 0 });
  const end = () => {
    sim.host.processes.signal(session.process, 9);
    session.close();
    session.process.close();
  };
  try {
    const record = await intendCgroup(host, plan);
    await makeScope(host, plan, record, session.pid, steady);
    return { record, end };
  } catch (error) {
    end();
    throw error;
  }
}

async function life(here: World): Promise<void> {
  const { record, end } = await made(here);
  try {
    await openCgroup(here.sim.host, record).remove();
  } finally {
    end();
  }
}

describe('a scope', () => {
  test('has its process, its limits and its filter, and systemd knows of them', async () => {
    const here = world();
    const { record } = await here.sim.run(made(here));
    expect(record).toEqual({ driver: 'systemd', path, made: [], unit, manager: 'system' });
    expect(here.sim.tree.read(`${path}/memory.max`)).toBe('4096');
    expect(here.sim.filters.get(path)).toEqual(plan.deviceFilter);
    const { properties, state } = here.systemd.units.get(unit)!;
    expect(state).toBe('active');
    expect(Object.fromEntries(properties)).toMatchObject({ Slice: 'a-b.slice', Delegate: true, MemoryMax: 4096n });
  });

  test('goes with everything in it, and a failed one of its name is forgotten before and after', async () => {
    const here = world();
    here.systemd.units.set(unit, { state: 'failed', cgroup: path, made: [], properties: new Map() });
    await here.sim.run(life(here));
    await here.sim.settle();
    expect(here.systemd.units.size).toBe(0);
    expect(here.sim.leaks()).toEqual([]);
  });

  test('that exists is refused before anything is changed, and left alone', async () => {
    const here = world();
    await here.sim.run(made(here));
    expect(await failure(here.sim.run(made(here)))).toMatchObject({
      code: 'ERR_EXISTS',
      message: expect.stringContaining("container's cgroup is not empty"),
    });
    expect(here.systemd.units.get(unit)?.state).toBe('active');
  });

  test('that somebody else made in the meantime is not stopped', async () => {
    const here = world();
    const { sim, systemd } = here;
    const record = await sim.run(intendCgroup(sim.host, plan));
    await sim.run(made(here));
    const { pid } = await sim.run(sim.host.processes.spawn({ flags: 0 }));
    expect(await failure(sim.run(makeScope(sim.host, plan, record, pid)))).toMatchObject({
      message: expect.stringContaining('UnitExists'),
    });
    expect(systemd.units.get(unit)?.state).toBe('active');
    expect(systemd.called).not.toContain('StopUnit');
  });

  test('of a process that has ended is an error, and leaves no unit', async () => {
    const here = world();
    const record = await here.sim.run(intendCgroup(here.sim.host, plan));
    expect(await failure(here.sim.run(makeScope(here.sim.host, plan, record, 4711)))).toMatchObject({
      message: expect.stringContaining('systemd could not start the scope runts-c1.scope: it is failed'),
    });
    expect(here.systemd.units.size).toBe(0);
  });

  test('takes a process by the hand of systemd, where we may not move it ourselves', async () => {
    const here = world(1);
    const { record } = await here.sim.run(made(here));
    const { pid } = await here.sim.run(here.sim.host.processes.spawn({ flags: 0 }));
    here.sim.tree.makeDirectory(`${path}/below`);
    const below = { ...record, path: `${path}/below` };
    const { cgroups } = here.sim.host;
    const denied = Object.assign(new Error('EACCES'), { code: 'EACCES' });
    const host = { ...here.sim.host, cgroups: { ...cgroups, write: () => Promise.reject(denied) } };
    await here.sim.run(openCgroup(host, below).enter(pid));
    expect(here.sim.tree.read(`/proc/${pid}/cgroup`)).toBe(`0::/${plan.path}/below\n`);
  });

  test('keeps its limits, whenever systemd writes what it was told of a change', async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const here = world(seed);
      const { sim, systemd } = here;
      const { record } = await sim.run(made(here));
      await sim.run(updateCgroup(sim.host, record, { memory: { limit: 8192 } }, facts('root')));
      await sim.settle();
      expect(systemd.units.get(unit)?.properties.get('MemoryMax')).toBe(8192n);
      expect(sim.tree.read(`${path}/memory.max`)).toBe('8192');
    }
  });

  test('of a quota alone systemd is told with the period that stays', async () => {
    const here = world();
    const { record } = await here.sim.run(made(here));
    here.sim.tree.write(`${path}/cpu.max`, 'max 50000\n');
    await here.sim.run(updateCgroup(here.sim.host, record, { cpu: { quota: 20_001 } }, facts('root')));
    const { properties } = here.systemd.units.get(unit)!;
    expect(properties.get('CPUQuotaPerSecUSec')).toBe(410_000n);
    expect(properties.get('CPUQuotaPeriodUSec')).toBe(50_000n);
  });

  test('has the old limits again, for systemd too, when a change fails', async () => {
    const here = world();
    const { sim, systemd } = here;
    const { record } = await sim.run(made(here));
    const { cgroups } = sim.host;
    const full = Object.assign(new Error('EBUSY'), { code: 'EBUSY' });
    const write: typeof cgroups.write = (file, text) =>
      text === '8192' ? Promise.reject(full) : cgroups.write(file, text);
    const host = { ...sim.host, cgroups: { ...cgroups, write } };
    const change = updateCgroup(host, record, { memory: { limit: 8192 } }, facts('root'));
    expect(await failure(sim.run(change))).toMatchObject({ message: expect.stringContaining('EBUSY') });
    expect(systemd.units.get(unit)?.properties.get('MemoryMax')).toBe(4096n);
    expect(sim.tree.read(`${path}/memory.max`)).toBe('4096');
  });

  test.each([249, 252])('systemd %s is told what it knows', async (version) => {
    const here = world();
    here.systemd.version = `${version} (${version}.1)`;
    const { record } = await here.sim.run(made(here));
    here.sim.tree.entries.set(`${path}/cpu.idle`, '0\n');
    await here.sim.run(updateCgroup(here.sim.host, record, { cpu: { idle: 1 } }, facts('root')));
    expect(here.systemd.units.get(unit)?.properties.get('CPUWeight')).toBe(version < 252 ? undefined : 0n);
    expect(here.sim.tree.read(`${path}/cpu.idle`)).toBe('1');
  });
});

test('a scope whose making is canceled at any moment is stopped', async () => {
  const clean = world();
  await clean.sim.run(made(clean));
  for (let at = 1; at < clean.sim.calls.length; at++) {
    const here = world(1, { at, kind: 'cancel' });
    const error = await failure(here.sim.run(made(here))).catch(() => undefined);
    if (error === undefined) continue;
    await here.sim.settle();
    expect({ at, call: here.sim.calls[at], units: [...here.systemd.units.keys()] }).toMatchObject({ units: [] });
  }
});

describe('systemd that does not do its part', () => {
  test('that is not there is an error that names the other way', async () => {
    const sim = new Sim({ environment: { uid: 0, privileged: true } });
    expect(await failure(sim.run(intendCgroup(sim.host, plan)))).toMatchObject({
      message: expect.stringContaining("cannot reach systemd's system manager at /run/systemd/private"),
      hint: expect.stringContaining('--cgroup-manager cgroupfs'),
    });
  });

  const troubles: readonly Trouble[] = ['refuse', 'silence', 'hang up', 'half', 'nonsense'];
  test.each(troubles)('%s: every call ends as an error, and nothing of ours is left', async (trouble) => {
    const clean = world();
    await clean.sim.run(life(clean));
    for (const member of new Set(clean.systemd.called)) {
      const here = world();
      here.systemd.trouble = { [member]: trouble };
      const error = await here.sim.run(life(here)).then(
        () => undefined,
        (e: unknown) => e,
      );
      await here.sim.settle();
      const where = { member, trouble };
      if (error !== undefined) expect({ ...where, error, runts: RuntsError.is(error) }).toMatchObject({ runts: true });
      expect({ ...where, late: here.sim.nowMs - began > 400_000 }).toEqual({ ...where, late: false });
      // What was done, and not heard of, is undone.
      const told = member !== 'StartTransientUnit' || trouble === 'refuse' || here.systemd.units.size === 0;
      expect({ ...where, told }).toEqual({ ...where, told: true });
      // Scopes whose processes have ended go by themselves, whatever we could not say.
      here.systemd.tidy();
      expect({ ...where, leaks: here.sim.leaks() }).toEqual({ ...where, leaks: [] });
    }
  });

  test('and is gone when the container is deleted: without its cgroup a scope is but a name', async () => {
    const here = world();
    const { record, end } = await here.sim.run(made(here));
    end();
    await here.sim.settle();
    here.systemd.tidy();
    here.systemd.trouble = { KillUnit: 'hang up' };
    await here.sim.run(openCgroup(here.sim.host, record).remove());
  });
});

const spec = {
  ...defaultSpec(),
  root: { path: 'rootfs', readonly: false },
  hooks: { createRuntime: [{ path: '/bin/hook' }], poststop: [{ path: '/bin/hook' }] },
} as unknown as Spec;
const warn = () => undefined;
const bundle = { '/bundle/rootfs': null, '/bundle/rootfs/etc/passwd': 'root:x:0:0::/root:/bin/sh\n' };

describe('a container of three commands in a scope', () => {
  const root = '/run/runts';
  const request = {
    root,
    id: 'c1',
    bundle: '/bundle',
    spec,
    owner: 'root',
    preserveFds: 0,
    noPivot: false,
    noNewKeyring: false,
    cgroupManager: 'systemd',
    warn,
  } as const;
  const remove = ({ sim }: World) => removeContainer(sim.host, root, 'c1', { force: true, warn });

  async function live(seed: number, fault?: Fault) {
    const here = world(seed, fault, bundle);
    const { sim } = here;
    const work = async () => {
      const stdio = [sim.handle('stdin'), sim.handle('stdout'), sim.handle('stderr')] as const;
      const container = await create(sim.host, facts('root'), { ...request, stdio, cancel: sim.signal });
      container.release();
      await start(sim.host, root, 'c1', { warn });
      await remove(here);
    };
    const error = await sim.run(work()).then(
      () => undefined,
      (e: unknown) => e,
    );
    await sim.settle();
    return { here, error };
  }

  test('leaves nothing behind, whatever the order of events', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const { here, error } = await live(seed);
      const left = { units: [...here.systemd.units.keys()], leaks: here.sim.leaks() };
      expect({ seed, error, ...left }).toEqual({ seed, error: undefined, units: [], leaks: [] });
    }
  });

  test.each(['crash', 'late', 'cancel', 'fail', 'hang'] as const)(
    'can be removed, whole, after any single call of a port went wrong: %s',
    async (kind) => {
      const { calls } = (await live(1)).here.sim;
      for (let at = 0; at < calls.length; at++) {
        if (kind === 'hang' && calls[at]?.startsWith('run ')) continue;
        const { here, error } = await live(1, { at, kind });
        const where = { at, name: here.sim.calls[at] };
        if (kind !== 'crash' && error !== undefined)
          expect({ ...where, runts: RuntsError.is(error), error }).toMatchObject({ runts: true });
        expect({ ...where, late: here.sim.nowMs - began > 400_000 }).toEqual({ ...where, late: false });
        await here.sim.run(remove(here));
        await here.sim.settle();
        here.systemd.tidy();
        const left = { units: [...here.systemd.units.keys()], leaks: here.sim.leaks() };
        expect({ ...where, ...left }).toEqual({ ...where, units: [], leaks: [] });
      }
    },
    120_000,
  );
});
