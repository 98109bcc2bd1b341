import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { bounded } from '../../lib/host/bounded.ts';
import type { CgroupRecord } from '../../lib/host/cgroups/cgroup.ts';
import { writeLimits } from '../../lib/host/cgroups/limits.ts';
import { intendCgroup, makeCgroup } from '../../lib/host/cgroups/make.ts';
import { openCgroup } from '../../lib/host/cgroups/open.ts';
import { flatKeyed, nestedKeyed, oneNumber, pressures } from '../../lib/host/cgroups/parse.ts';
import { cgroupMounts, ownCgroup, probeFacts } from '../../lib/host/probe.ts';
import type { CgroupPlan, CgroupWrite } from '../../lib/plan/plan.ts';
import { type Fault, Sim } from '../support/sim.ts';
import { cgroupRoot, errno } from '../support/sim-files.ts';
import { failure } from './plans.ts';

const plan: CgroupPlan = {
  driver: 'cgroupfs',
  parent: cgroupRoot,
  path: 'pod/web',
  controllers: ['memory'],
  wanted: ['cpu', 'pids'],
  writes: [
    { controller: 'memory', file: 'memory.swap.max', value: '0', origin: '/swap', optional: true },
    {
      controller: 'memory',
      file: 'memory.none',
      value: '5',
      origin: '/limit',
      or: [{ file: 'memory.max', value: '6' }],
    },
  ],
  owner: 100000,
};

interface Life {
  readonly sim: Sim;
  readonly error: unknown;
  /** What the record on disk would have said when it went wrong. */
  readonly record: CgroupRecord | undefined;
  /** It was whole: what went wrong is its removal. */
  readonly made: boolean;
}

async function live(seed: number, fault?: Fault): Promise<Life> {
  const sim = new Sim({ seed, fault, environment: { uid: 0, privileged: true } });
  const host = bounded(sim.host, { deadlineMs: 5000, cancel: sim.signal });
  const steady = bounded(sim.host, { deadlineMs: 5000 });
  let record: CgroupRecord | undefined;
  let made = false;
  const life = async () => {
    record = await intendCgroup(host, plan);
    const cgroup = await makeCgroup(host, plan, record, steady);
    made = true;
    await cgroup.remove();
  };
  const error = await sim.run(life()).then(
    () => undefined,
    (e: unknown) => e,
  );
  await sim.settle();
  return { sim, error, record, made };
}

/** Not what is made two minutes after everybody has gone: a directory that others may share stays. */
const leaksOf = (sim: Sim, kind: Fault['kind']) =>
  sim.leaks().filter((leak) => kind !== 'late' || !/\/pod(\/(cgroup|memory|cpu|pids)\.|$)/.test(leak));

describe('a cgroup of which any step goes wrong', () => {
  test.each(['fail', 'hang', 'late', 'cancel'] as const)(
    'leaves nothing, or says so, and then its record removes it: %s',
    async (kind) => {
      for (const seed of [1, 2, 3]) {
        const clean = await live(seed);
        expect({ error: clean.error, leaks: clean.sim.leaks() }).toEqual({ error: undefined, leaks: [] });
        for (let at = 0; at < clean.sim.calls.length; at++) {
          const { sim, error, record, made } = await live(seed, { at, kind });
          const where = { at, call: sim.calls[at] };
          if (error !== undefined) expect({ ...where, runts: RuntsError.is(error) }).toEqual({ ...where, runts: true });
          if (error === undefined || !made)
            expect({ ...where, leaks: leaksOf(sim, kind) }).toEqual({ ...where, leaks: [] });
          // What `delete` does with the record of a container whose making was killed.
          if (record !== undefined) await sim.run(openCgroup(sim.host, record).remove());
          expect({ ...where, leaks: leaksOf(sim, kind) }).toEqual({ ...where, leaks: [] });
        }
      }
    },
    60_000,
  );

  test('its figures are not worth an error: a controller that nobody needs is left out', async () => {
    const sim = new Sim({ environment: { uid: 0 } });
    const write = sim.tree.write.bind(sim.tree);
    sim.tree.write = (path, text) => {
      if (path.endsWith('subtree_control') && /cpu|pids/.test(text)) throw errno('EBUSY', path);
      write(path, text);
    };
    const record = await sim.run(intendCgroup(sim.host, plan));
    const cgroup = await sim.run(makeCgroup(sim.host, plan, record));
    expect(sim.tree.read(`${cgroupRoot}/pod/web/cgroup.controllers`)).toBe('memory');
    const needed = {
      ...plan,
      path: 'pod/db',
      controllers: ['pids'],
      writes: [{ controller: 'pids', file: 'pids.max', value: '1', origin: '/pids' }],
    };
    const error = await sim.run(failure(intendCgroup(sim.host, needed).then((r) => makeCgroup(sim.host, needed, r))));
    expect(error).toMatchObject({ origin: '/pids', hint: expect.stringContaining('no internal processes') });
    await sim.run(cgroup.remove());
    expect(sim.leaks()).toEqual([]);
  });
});

describe('limits', () => {
  const max: CgroupWrite = { file: 'cpu.max', value: '5000', origin: '/quota', afterNext: true };
  const burst: CgroupWrite = { file: 'cpu.max.burst', value: '1000', origin: '/burst' };

  /** The kernel's rule: a burst is no more than the quota. */
  function kernel(quota: number, bursting: number) {
    const present: Record<string, number> = { 'cpu.max': quota, 'cpu.max.burst': bursting };
    const sim = new Sim();
    sim.tree.write = (path, text) => {
      const file = path.slice(path.lastIndexOf('/') + 1);
      const next = { ...present, [file]: Number(text) };
      if (next['cpu.max.burst']! > next['cpu.max']!) throw errno('EINVAL', path);
      Object.assign(present, next);
    };
    return { sim, present };
  }

  test.each([
    [2000, 0],
    [2000, 2000],
    [9000, 9000],
    [9000, 0],
  ])('quota and burst are set whatever they were: %d and %d', async (quota, bursting) => {
    const { sim, present } = kernel(quota, bursting);
    await sim.run(writeLimits(sim.host, `${cgroupRoot}/x`, [max, burst]));
    expect(present).toEqual({ 'cpu.max': 5000, 'cpu.max.burst': 1000 });
  });

  test('a quota below the burst that stays is refused by its own name', async () => {
    const { sim } = kernel(9000, 9000);
    expect(
      await sim.run(failure(writeLimits(sim.host, `${cgroupRoot}/x`, [{ ...max, afterNext: false }]))),
    ).toMatchObject({
      origin: '/quota',
    });
  });
});

describe('control files', () => {
  test('are numbers, and what is none', () => {
    expect([oneNumber('18446744073709551615\n'), oneNumber('max\n'), oneNumber(undefined)]).toEqual([
      18446744073709551615n,
      undefined,
      undefined,
    ]);
  });

  test('have keys, and keys of keys', () => {
    expect(flatKeyed('anon 0\nfile 9007199254740993\n')).toEqual({ anon: 0n, file: 9007199254740993n });
    expect(nestedKeyed('8:0 rbytes=1 wios=2\n254:16 rbytes=3 wbps=max\n\n')).toEqual({
      '8:0': { rbytes: 1n, wios: 2n },
      '254:16': { rbytes: 3n },
    });
    expect(pressures('some avg10=1.50 avg60=0.00 avg300=0.25 total=123\n')).toEqual({
      some: { avg10: 1.5, avg60: 0, avg300: 0.25, total: 123n },
    });
    expect(pressures(undefined)).toBeUndefined();
  });
});

describe('where we are', () => {
  const mounted = (root: string, at: string) => `25 1 0:20 ${root} ${at} rw shared:4 - cgroup2 cgroup2 rw\n`;

  test.each([
    [mounted('/', '/sys/fs/cgroup'), '0::/a/b\n', '/sys/fs/cgroup/a/b'],
    [mounted('/', '/sys/fs/cgroup'), '0::/\n', '/sys/fs/cgroup'],
    [mounted('/docker/x', '/sys/fs/cgroup'), '1:cpu:/q\n0::/docker/x/y\n', '/sys/fs/cgroup/y'],
    [mounted('/docker/x', '/sys/fs/cgroup'), '0::/docker/xy\n', undefined],
    [mounted('/..', '/sys/fs/cgroup'), '0::/\n', undefined],
    [mounted('/', '/sys/fs/cgroup'), '0::/../other\n', undefined],
    [mounted('/', '/other') + mounted('/', '/sys/fs/cgroup'), '0::/a\n', '/sys/fs/cgroup/a'],
    ['', '0::/a\n', undefined],
  ])('%j and %j: %s', (mountinfo, membership, own) => {
    expect(ownCgroup(membership, cgroupMounts(mountinfo))).toBe(own);
  });

  test('controllers of cgroup v1 are known by their names in version 2', async () => {
    const table = '#subsys_name\thierarchy\tnum_cgroups\tenabled\nblkio\t7\t1\t1\nmemory\t4\t3\t1\nhugetlb\t0\t5\t1\n';
    const sim = new Sim({ files: { '/proc/cgroups': table } });
    expect((await sim.run(probeFacts(sim.host))).cgroup.legacy).toEqual(['io', 'memory']);
  });

  test('at the top of a cgroup namespace, processes are in the way of controllers; at the real top they are not', async () => {
    const files = { '/proc/self/mountinfo': mounted('/', '/sys/fs/cgroup'), '/proc/self/cgroup': '0::/\n' };
    const sim = new Sim({ files, environment: { uid: 0 } });
    sim.tree.entries.set(`${cgroupRoot}/cgroup.procs`, '1\n');
    expect((await sim.run(probeFacts(sim.host))).cgroup).toMatchObject({ occupied: false });
    sim.tree.entries.set(`${cgroupRoot}/cgroup.type`, 'domain\n');
    expect((await sim.run(probeFacts(sim.host))).cgroup).toMatchObject({ occupied: true, controllers: [] });
  });
});
