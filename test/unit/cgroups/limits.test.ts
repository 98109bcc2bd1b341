import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { weightOfShares } from '../../../lib/cgroups/cpu.ts';
import { ioWeight } from '../../../lib/cgroups/io.ts';
import { cgroupOwner } from '../../../lib/cgroups/owner.ts';
import { cgroupPlan, resourceLimits } from '../../../lib/cgroups/writes.ts';
import { updateWrites } from '../../../lib/plan/cgroup.ts';
import type { Facts } from '../../../lib/plan/facts.ts';
import type { Maps } from '../../../lib/plan/plan.ts';
import type { Mount, Resources, Spec } from '../../../lib/spec/types.ts';
import { facts } from '../../plans/requests.ts';

const writes = (resources: Resources) => resourceLimits(resources).map(({ file, value }) => `${file} ${value}`);

test('memory and swap together become memory, and swap alone', () => {
  expect(writes({ memory: { limit: 1000, swap: 3000, reservation: 500 } })).toEqual([
    'memory.swap.max 2000',
    'memory.max 1000',
    'memory.low 500',
  ]);
  expect(writes({ memory: { limit: 1000, swap: -1 } })).toEqual(['memory.swap.max max', 'memory.max 1000']);
  expect(writes({ memory: { limit: -1 } })).toEqual(['memory.swap.max max', 'memory.max max']);
  expect(writes({ memory: { limit: 1000, swap: 1000 } })).toEqual(['memory.swap.max 0', 'memory.max 1000']);
  expect(writes({ memory: { limit: 0 } })).toEqual([]);
  expect(writes({ memory: { limit: 2n ** 60n, swap: 2n ** 60n + 1n } })[0]).toBe('memory.swap.max 1');
});

test('swap that contradicts memory is refused', () => {
  expect(() => writes({ memory: { swap: 100 } })).toThrow('needs a memory limit');
  expect(() => writes({ memory: { limit: 200, swap: 100 } })).toThrow('less than memory');
});

test('processor time is a quota of a period, and a weight', () => {
  expect(writes({ cpu: { quota: 50000, shares: 1024, burst: 10, cpus: '0-1' } })).toEqual([
    'cpu.weight 100',
    'cpu.max 50000',
    'cpu.max.burst 10',
    'cpuset.cpus 0-1',
  ]);
  expect(writes({ cpu: { quota: -1, period: 20000 } })).toEqual(['cpu.max max 20000']);
  expect(writes({ cpu: { idle: 1, shares: 2 } })).toEqual(['cpu.idle 1']);
});

test('shares and weights agree at both ends and in the middle, and grow together', () => {
  expect([2, 1024, 262144].map(weightOfShares)).toEqual([1, 100, 10000]);
  const shares = fc.integer({ min: 2, max: 262143 });
  fc.assert(
    fc.property(shares, (s) => weightOfShares(s) <= weightOfShares(s + 1)),
    { seed: 1 },
  );
  expect([10, 1000].map(ioWeight)).toEqual([1, 10000]);
});

test('each rate of a block device is a write of its own', () => {
  const blockIO = {
    weight: 500,
    throttleReadBpsDevice: [
      { major: 8, minor: 0, rate: 1024 },
      { major: 8, minor: 16, rate: 0 },
    ],
    throttleWriteIOPSDevice: [{ major: 8, minor: 0, rate: 9 }],
  };
  expect(writes({ blockIO })).toEqual([
    'io.weight default 4950',
    'io.max 8:0 rbps=1024',
    'io.max 8:16 rbps=max',
    'io.max 8:0 wiops=9',
  ]);
});

test('process counts, huge pages and RDMA', () => {
  expect(writes({ pids: { limit: 20 } })).toEqual(['pids.max 20']);
  expect(writes({ pids: { limit: -1 } })).toEqual(['pids.max max']);
  expect(writes({ pids: { limit: 0 } })).toEqual(['pids.max 0']);
  const hugepageLimits = [{ pageSize: '2MB', limit: 4096 }];
  const rdma = { mlx4_0: { hcaHandles: 2, hcaObjects: 3 } };
  expect(writes({ hugepageLimits, rdma })).toEqual([
    'hugetlb.2MB.max 4096',
    'hugetlb.2MB.rsvd.max 4096',
    'rdma.max mlx4_0 hca_handle=2 hca_object=3',
  ]);
});

test('files of the unified hierarchy are written last, and never those about membership', () => {
  expect(writes({ unified: { 'memory.high': '7' }, pids: { limit: 1 } })).toEqual(['pids.max 1', 'memory.high 7']);
  expect(writes({ unified: { 'io.max': '8:0 rbps=1\n8:16 rbps=2\n' } })).toEqual([
    'io.max 8:0 rbps=1',
    'io.max 8:16 rbps=2',
  ]);
  expect(resourceLimits({ unified: { 'cgroup.max.depth': '5' } })).toMatchObject([{ controller: undefined }]);
  for (const file of ['cgroup.procs', 'cgroup.freeze', '../memory.max', 'memory', 'memory.max/..']) {
    expect(() => writes({ unified: { [file]: '1' } })).toThrow('not the form CONTROLLER.VALUE');
  }
});

test.each([
  ['swappiness', { memory: { swappiness: 10 } }],
  ['a limit of kernel memory', { memory: { kernel: 100 } }],
  ['a real-time budget', { cpu: { realtimeRuntime: 5 } }],
  ['a class of network packets', { network: { classID: 1 } }],
] as const)('what cgroup v2 has not is refused: %s', (what, resources) => {
  expect(() => writes(resources)).toThrow(`cannot set ${what}`);
});

test('without a limit or a place there is no cgroup', () => {
  expect(cgroupPlan({ namespaces: [], resources: { devices: [] } }, facts('single-id'), 'x')).toBeUndefined();
});

test('a plan has the controllers of its limits, and a place below the delegated directory', () => {
  const resources = { memory: { limit: 4096 }, pids: { limit: 5 } };
  expect(cgroupPlan({ namespaces: [], resources }, facts('rootless'), 'x')).toMatchObject({
    parent: '/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service',
    path: 'x',
    controllers: ['memory', 'pids'],
  });
});

test('a limit whose controller is missing is an error that says how to get it', () => {
  const plan = (resources: Resources, kind: 'rootless' | 'single-id') =>
    cgroupPlan({ namespaces: [], resources }, facts(kind), 'x');
  expect(() => plan({ cpu: { cpus: '0' } }, 'rootless')).toThrow(
    expect.objectContaining({
      code: 'ERR_UNSUPPORTED',
      origin: '/linux/resources/cpu/cpus',
      hint: expect.stringContaining('Delegate=yes'),
    }),
  );
  expect(() => plan({ memory: { limit: 1 } }, 'single-id')).toThrow(
    /cannot set memory limit: container could not join or create cgroup: .*hybrid/,
  );
});

test('a hybrid host gives what its version 2 tree has, and says which controllers it has not', () => {
  const host = facts('root');
  const cgroup = {
    ...host.cgroup,
    mode: 'hybrid',
    parent: '/u',
    mount: '/u',
    controllers: ['hugetlb'],
    legacy: ['memory'],
  };
  const hybrid = { ...host, cgroup } as Facts;
  const plan = (resources: Resources) => cgroupPlan({ namespaces: [], resources }, hybrid, 'x');
  expect(plan({ hugepageLimits: [{ pageSize: '2MB', limit: 0 }] })).toMatchObject({ controllers: ['hugetlb'] });
  expect(() => plan({ memory: { limit: 4096 } })).toThrow(
    expect.objectContaining({
      message: expect.stringMatching(
        /memory\/limit \(memory.max\).*`memory` is not available: it belongs to cgroup v1/,
      ),
      hint: expect.stringContaining('unified_cgroup_hierarchy=1'),
    }),
  );
});

test('a delegated directory with processes of its own is named as the reason', () => {
  const host = facts('rootless');
  const occupied = { ...host, cgroup: { ...host.cgroup, controllers: [], occupied: true } };
  const resources = { pids: { limit: 5 } };
  expect(() => cgroupPlan({ namespaces: [], resources }, occupied, 'x')).toThrow(
    expect.objectContaining({
      message: expect.stringContaining('has processes of its own'),
      hint: expect.stringContaining('DelegateSubgroup'),
    }),
  );
});

test('the OCI runtime has a cgroup for every container, wherever there can be one', () => {
  const plan = (kind: 'root' | 'rootless' | 'single-id') =>
    cgroupPlan({ namespaces: [] }, facts(kind), 'x', { always: true });
  expect(plan('root')).toMatchObject({ path: 'x', controllers: [], wanted: ['cpu', 'io', 'memory', 'pids'] });
  expect(plan('rootless')).toMatchObject({ path: 'x', wanted: ['cpu', 'memory', 'pids'] });
  expect(plan('single-id')).toBeUndefined();
});

test('only root gives a cgroup away, and not to whom it belongs already', () => {
  const plan = (kind: 'root' | 'rootless', owner: number) =>
    cgroupPlan({ namespaces: [] }, facts(kind), 'x', { always: true, owner });
  expect(plan('root', 100000)).toMatchObject({ owner: 100000 });
  expect(plan('root', 0)).not.toHaveProperty('owner');
  expect(plan('rootless', 100000)).not.toHaveProperty('owner');
});

test('a cgroup is given to the user of the process, where it can use it', () => {
  const maps = { uids: [{ container: 0, host: 100000, size: 10 }] } as unknown as Maps;
  const mount = { destination: '/sys/fs/cgroup', type: 'cgroup', options: ['rw'] };
  const spec = (mounts: Mount[], own: boolean, uid = 3) =>
    ({ linux: { namespaces: own ? [{ type: 'cgroup' }] : [] }, mounts, process: { user: { uid } } }) as unknown as Spec;
  expect(cgroupOwner(spec([mount], true), maps)).toBe(100003);
  expect(cgroupOwner(spec([mount], true), undefined)).toBe(3);
  expect(cgroupOwner(spec([mount], true, 10), maps)).toBeUndefined();
  expect(cgroupOwner(spec([{ ...mount, options: ['rw', 'ro'] }], true), maps)).toBeUndefined();
  expect(cgroupOwner(spec([mount], false), maps)).toBeUndefined();
  expect(cgroupOwner(spec([], true), maps)).toBeUndefined();
});

describe('a change of a cgroup that exists', () => {
  const update = (resources: Resources, present = {}) =>
    updateWrites(resources, present).map(({ file, value }) => `${file} ${value}`);

  test('leaves the quota alone when only the period comes, and the reverse', () => {
    expect(update({ cpu: { period: 20000 } }, { 'cpu.max': '50000 100000' })).toEqual(['cpu.max 50000 20000']);
    expect(update({ cpu: { quota: -1 } }, { 'cpu.max': '50000 100000' })).toEqual(['cpu.max max']);
  });

  test('can take back what a new cgroup has not', () => {
    expect(update({ cpu: { idle: 0, burst: 0 } })).toEqual(['cpu.idle 0', 'cpu.max.burst 0']);
    expect(writes({ cpu: { idle: 0, burst: 0 } })).toEqual([]);
  });

  test('takes the memory limit that is there for swap that comes alone', () => {
    expect(update({ memory: { swap: 3000 } }, { 'memory.max': '1000' })).toEqual(['memory.swap.max 2000']);
    expect(() => update({ memory: { swap: 3000 } }, { 'memory.max': 'max' })).toThrow(
      expect.objectContaining({ origin: '/memory/swap', issues: [expect.objectContaining({ path: '/memory/swap' })] }),
    );
  });

  test('makes room in swap before it takes memory, and memory small before it takes swap', () => {
    const memory = { limit: 1000, swap: 2000 };
    expect(update({ memory }, { 'memory.swap.max': '0' })).toEqual(['memory.swap.max 1000', 'memory.max 1000']);
    expect(update({ memory }, { 'memory.swap.max': 'max' })).toEqual(['memory.max 1000', 'memory.swap.max 1000']);
  });

  test('names fields as an update has them', () => {
    expect(updateWrites({ pids: { limit: 1 } }, {})).toMatchObject([{ origin: '/pids/limit' }]);
    expect(() => update({ memory: { swappiness: 1 } })).toThrow(
      expect.objectContaining({ origin: '/memory/swappiness' }),
    );
  });
});

test('no limit needs no controller, and is written where there is one', () => {
  const resources = { pids: { limit: -1 }, memory: { limit: -1 }, cpu: { quota: -1 } };
  const plan = (kind: 'root' | 'single-id') => cgroupPlan({ namespaces: [], resources }, facts(kind), 'x');
  expect(plan('single-id')).toBeUndefined();
  expect(plan('root')?.writes.map(({ file, value }) => `${file} ${value}`)).toContain('pids.max max');
  const asked = { pids: { limit: 0 } };
  expect(() => cgroupPlan({ namespaces: [], resources: asked }, facts('single-id'), 'x')).toThrow('pids');
});
