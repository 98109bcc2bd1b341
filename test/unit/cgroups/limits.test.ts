import fc from 'fast-check';
import { expect, test } from 'vitest';
import { weightOfShares } from '../../../lib/cgroups/cpu.ts';
import { ioWeight } from '../../../lib/cgroups/io.ts';
import { cgroupPlan, resourceLimits } from '../../../lib/cgroups/writes.ts';
import type { Resources } from '../../../lib/spec/types.ts';
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
    'cpu.max 50000 100000',
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
  const hugepageLimits = [{ pageSize: '2MB', limit: 4096 }];
  const rdma = { mlx4_0: { hcaHandles: 2, hcaObjects: 3 } };
  expect(writes({ hugepageLimits, rdma })).toEqual([
    'hugetlb.2MB.max 4096',
    'rdma.max mlx4_0 hca_handle=2 hca_object=3',
  ]);
});

test('files of the unified hierarchy are written last, and never those about membership', () => {
  expect(writes({ unified: { 'memory.high': '7' }, pids: { limit: 1 } })).toEqual(['pids.max 1', 'memory.high 7']);
  for (const file of ['cgroup.procs', '../memory.max', 'memory', 'memory.max/..']) {
    expect(() => writes({ unified: { [file]: '1' } })).toThrow('no control file');
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
    path: 'runts-x',
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
  expect(() => plan({ memory: { limit: 1 } }, 'single-id')).toThrow(/memory\/limit \(memory.max\).*hybrid/);
});
