import { expect, test } from 'vitest';
import { update } from '../../../lib/cli/oci/update.ts';
import { parseFlags } from '../../../lib/cli/parse.ts';
import { checkedResources, resourceFlags, resourcesFromFlags } from '../../../lib/cli/resources.ts';

const read = (...argv: string[]) => resourcesFromFlags(parseFlags('update', argv, update.flags, update.grammar));

test('each option is a field of linux.resources', () => {
  expect(
    read(
      ...[
        '--blkio-weight',
        '100',
        '--cpu-period=100000',
        '--cpu-quota',
        '-1',
        '--cpu-burst',
        '5',
        '--cpu-share',
        '4321',
      ],
      ...[
        '--cpu-idle',
        '1',
        '--cpu-rt-period',
        '9',
        '--cpu-rt-runtime',
        '8',
        '--cpuset-cpus',
        '0-1',
        '--cpuset-mems',
        '0',
      ],
      ...['--memory', '512m', '--memory-reservation', '1.5g', '--memory-swap', '-1', '--pids-limit', '10'],
      ...['--kernel-memory', '1', '--kernel-memory-tcp', '2'],
    ),
  ).toEqual({
    blockIO: { weight: 100 },
    cpu: {
      period: 100_000,
      quota: -1,
      burst: 5,
      shares: 4321,
      idle: 1,
      realtimePeriod: 9,
      realtimeRuntime: 8,
      cpus: '0-1',
      mems: '0',
    },
    memory: { limit: 512 * 2 ** 20, reservation: 1.5 * 2 ** 30, swap: -1, kernel: 1, kernelTCP: 2 },
    pids: { limit: 10 },
  });
  expect(Object.keys(resourceFlags)).toHaveLength(16);
});

test('what is not given, or says nothing, is not there', () => {
  expect(read()).toEqual({});
  expect(read('--pids-limit', '0', '--memory', '', '--cpuset-cpus=')).toEqual({});
  expect(read('--pids-limit', '-1')).toEqual({ pids: { limit: -1 } });
});

test.each([
  ['1024', 1024],
  ['1k', 1024],
  ['1KB', 1024],
  ['1 KiB', 1024],
  ['0.5m', 524_288],
  ['8p', 8n * 1024n ** 5n],
  ['9223372036854775807', 2n ** 63n - 1n],
])('--memory %s', (text, bytes) => {
  expect(BigInt(read('--memory', text).memory?.limit ?? 0)).toBe(BigInt(bytes));
});

test.each([
  [['--memory', '1x'], '--memory: must be a number of bytes, such as 1048576 or 512m, or -1, not "1x"'],
  [['--memory', '-2'], '--memory: must be a number of bytes'],
  [['--memory', '9223372036854775808'], '/memory/limit: must be a whole number from -1'],
  [['--cpu-quota', '1.5'], '--cpu-quota: must be a whole number, not "1.5"'],
  [['--cpu-share', '-1'], '/cpu/shares: must be a whole number from 0'],
  [['--blkio-weight', '2000'], '/blockIO/weight: must be a whole number from 0 to 1000'],
  [['--cpuset-cpus', 'a'], '/cpu/cpus: must be a list such as "0-3,7"'],
])('%j is refused', (argv, message) => {
  expect(() => read(...argv)).toThrow(message);
});

test('resources as JSON are checked as those of a configuration', () => {
  expect(checkedResources({ memory: { limit: 1 }, unknown: 1 }, 'x')).toEqual({ memory: { limit: 1 }, unknown: 1 });
  expect(() => checkedResources({ memory: { limit: '1' }, pids: {} }, 'stdin')).toThrow(
    /^stdin:\n {2}\/memory\/limit: .*\n {2}\/pids\/limit: is required$/,
  );
  expect(() => checkedResources(null, 'stdin')).toThrow('must be an object, not null');
});
