import { describe, expect, test } from 'vitest';
import { annotatedProperties, limitProperties, scopeName, slicePath } from '../../../lib/cgroups/scope.ts';

describe('the name of a scope', () => {
  test.each([
    ['', 'system', { slice: 'system.slice', unit: 'runts-web.scope' }],
    ['', 'user', { slice: 'user.slice', unit: 'runts-web.scope' }],
    ['machine.slice:libpod:abc', 'system', { slice: 'machine.slice', unit: 'libpod-abc.scope' }],
    [':runts:x', 'user', { slice: 'user.slice', unit: 'runts-x.scope' }],
    ['a-b.slice::x', 'system', { slice: 'a-b.slice', unit: 'x.scope' }],
  ] as const)('%j for the %s manager', (path, manager, expected) => {
    expect(scopeName(path, 'web', manager)).toEqual(expected);
  });

  test.each([
    '/a/b',
    'a:b',
    'a:b:c:d',
    'nope:b:c',
    'system.slice:b:',
    'a--b.slice:x:y',
    '../x.slice:b:c',
    's.slice:a/b:c',
  ])('%j is none', (path) => {
    expect(() => scopeName(path, 'web', 'system')).toThrow(/cannot place the container in the cgroup/);
  });

  test('a slice is in those that its name begins with', () => {
    expect(slicePath('-.slice')).toBe('');
    expect(slicePath('system.slice')).toBe('system.slice');
    expect(slicePath('a-b-c.slice')).toBe('a.slice/a-b.slice/a-b-c.slice');
  });
});

describe('limits as properties', () => {
  const properties = (file: string, value: string) =>
    Object.fromEntries(limitProperties([{ file, value, origin: '/' }]).map(([name, { value: v }]) => [name, v]));
  const unlimited = (1n << 64n) - 1n;

  test.each([
    ['memory.max', '1048576', { MemoryMax: 1048576n }],
    ['memory.swap.max', 'max', { MemorySwapMax: unlimited }],
    ['pids.max', '0', {}],
    ['pids.max', '10', { TasksMax: 10n }],
    ['cpu.max', '50000 100000', { CPUQuotaPerSecUSec: 500000n, CPUQuotaPeriodUSec: 100000n }],
    ['cpu.max', 'max 100000', { CPUQuotaPerSecUSec: unlimited, CPUQuotaPeriodUSec: 100000n }],
    ['cpu.max', '1001 100000', { CPUQuotaPerSecUSec: 20000n, CPUQuotaPeriodUSec: 100000n }],
    ['cpuset.cpus', '0-1,9', { AllowedCPUs: [3, 2] }],
    ['memory.oom.group', '1', {}],
  ])('%s %s', (file, value, expected) => {
    expect(properties(file, value)).toEqual(expected);
  });
});

describe('annotations as properties', () => {
  const taken = (key: string, value: string) =>
    annotatedProperties({ [`org.systemd.property.${key}`]: value, other: 'x' });

  test('times, texts, lists', () => {
    expect(taken('TimeoutStopUSec', 'uint64 123456789')).toEqual([
      ['TimeoutStopUSec', { signature: 't', value: 123456789n }],
    ]);
    expect(taken('TimeoutStopSec', '5')).toEqual([['TimeoutStopUSec', { signature: 't', value: 5000000n }]]);
    expect(taken('CollectMode', "'inactive-or-failed'")).toEqual([
      ['CollectMode', { signature: 's', value: 'inactive-or-failed' }],
    ]);
    expect(taken('After', "['a.service', 'b.service']")).toEqual([
      ['After', { signature: 'as', value: ['a.service', 'b.service'] }],
    ]);
  });

  test.each([
    ['ExecStopPost', "'/bin/sh'"],
    ['DeviceAllow', '[]'],
    ['Delegate', 'false'],
    ['constructor', "'x'"],
    ['TimeoutStopUSec', 'soon'],
    ['CollectMode', 'unquoted'],
  ])('%s = %s is refused', (key, value) => {
    expect(() => taken(key, value)).toThrow(/annotation/);
  });
});
