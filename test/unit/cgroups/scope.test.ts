import { describe, expect, test } from 'vitest';
import {
  annotatedProperties,
  hasIdleWeight,
  limitProperties,
  merged,
  scopeName,
  slicePath,
  supported,
} from '../../../lib/cgroups/scope.ts';

describe('the name of a scope', () => {
  test.each([
    ['', 'system', { slice: 'system.slice', unit: 'runts-web.scope' }],
    ['', 'user', { slice: 'user.slice', unit: 'runts-web.scope' }],
    ['machine.slice:libpod:abc', 'system', { slice: 'machine.slice', unit: 'libpod-abc.scope' }],
    [':runts:x', 'user', { slice: 'user.slice', unit: 'runts-x.scope' }],
    ['a-b.slice::x', 'system', { slice: 'a-b.slice', unit: 'x.scope' }],
    ['-.slice:runts:x', 'system', { slice: '-.slice', unit: 'runts-x.scope' }],
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
    'system.slice:a:b+c',
    'system.slice::@x',
    'system.slice:x:inner.slice',
    `system.slice:x:${'y'.repeat(250)}`,
  ])('%j is none', (path) => {
    expect(() => scopeName(path, 'web', 'system')).toThrow(/cannot place the container in the cgroup/);
  });

  test('an id that no unit can have is escaped, as systemd-escape does', () => {
    expect(scopeName('', 'a+b', 'system').unit).toBe('runts-a\\x2bb.scope');
    expect(() => scopeName('', 'a'.repeat(250), 'system')).toThrow(/more than 255 bytes/);
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
    ['cpu.max', '30001 50000', { CPUQuotaPerSecUSec: 610000n, CPUQuotaPeriodUSec: 50000n }],
    ['cpu.max', 'max', { CPUQuotaPerSecUSec: unlimited }],
    ['cpu.max', '1000', { CPUQuotaPerSecUSec: 10000n }],
    ['cpu.idle', '1', { CPUWeight: 0n }],
    ['cpu.idle', '0', { CPUWeight: unlimited }],
    ['io.weight', 'default 500', { IOWeight: 500n }],
    ['io.weight', '8:0 500', {}],
    ['cpuset.cpus', '\n', { AllowedCPUs: [] }],
    ['memory.high', '64M', { MemoryHigh: 67108864n }],
    ['memory.max', '0', {}],
    ['memory.low', '0', { MemoryLow: 0n }],
    ['memory.max', '-5', {}],
    ['memory.max', '99999999999999999999', {}],
    ['memory.max', '16E', {}],
    ['memory.oom.group', '1', {}],
    ['constructor', '1', {}],
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

  test('what podman, containerd and cri-o set', () => {
    const value = (key: string, text: string) => taken(key, text)[0]?.[1];
    expect(value('KillSignal', '37')).toEqual({ signature: 'i', value: 37 });
    expect(value('Delegate', 'true')).toEqual({ signature: 'b', value: true });
    expect(value('DefaultDependencies', 'true')).toEqual({ signature: 'b', value: true });
    expect(value('RuntimeMaxSec', '2')).toEqual({ signature: 't', value: 2000000n });
    expect(taken('TimeoutStopSec', '1.5')).toEqual([['TimeoutStopUSec', { signature: 't', value: 1500000n }]]);
    expect(value('After', '@as []')).toEqual({ signature: 'as', value: [] });
  });

  test.each([
    ['Wants', "['poweroff.target']"],
    ['SuccessAction', "'poweroff-force'"],
    ['MemoryMax', 'uint64 18446744073709551615'],
    ['PIDs', '[1]'],
    ['After', '[a.service]'],
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

describe('a list of properties', () => {
  const u64 = (name: string, value: bigint) => [name, { signature: 't', value }] as const;

  test('has one of each name, the last', () => {
    expect(merged([u64('A', 1n), u64('B', 2n), u64('A', 3n)])).toEqual([u64('A', 3n), u64('B', 2n)]);
  });

  test('has nothing that an old systemd does not know', () => {
    const all = [u64('CPUWeight', 0n), u64('CPUQuotaPeriodUSec', 1n), u64('AllowedCPUs', 1n), u64('MemoryMax', 1n)];
    const names = (version: number) => supported(all, version).map(([name]) => name);
    expect(names(239)).toEqual(['MemoryMax']);
    expect(names(242)).toEqual(['CPUQuotaPeriodUSec', 'MemoryMax']);
    expect(names(251)).toEqual(['CPUQuotaPeriodUSec', 'AllowedCPUs', 'MemoryMax']);
    expect(names(252)).toHaveLength(4);
    expect(supported([u64('CPUWeight', 5n)], 239)).toHaveLength(1);
  });

  test('has no weight beside idleness', () => {
    expect(hasIdleWeight({ cpu: { idle: 1, shares: 200 } })).toBe(true);
    expect(hasIdleWeight({ unified: { 'cpu.idle': '1', 'cpu.weight': '8' } })).toBe(true);
    expect(hasIdleWeight({ cpu: { idle: 0, shares: 200 } })).toBe(false);
    expect(hasIdleWeight({ cpu: { idle: 1 } })).toBe(false);
  });
});
