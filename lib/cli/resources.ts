import { type Issue, specError } from '../errors.ts';
import { resourcesShape } from '../spec/check-resources.ts';
import { issuesOf } from '../spec/shape.ts';
import type { Int64, Resources } from '../spec/types.ts';
import { type Flag, type Flags, type Parsed, textOf } from './parse.ts';

/** Where an option of `update` goes in `linux.resources`, and what it is written as. */
interface Row extends Flag {
  readonly into?: readonly [group: 'memory' | 'cpu' | 'pids' | 'blockIO', field: string];
  readonly as?: 'bytes' | 'number' | 'text';
}

const number = (doc: string, name: string, group: 'cpu' | 'pids' | 'blockIO', field: string): Row => ({
  names: [name],
  value: 'N',
  doc,
  into: [group, field],
  as: 'number',
});
const bytes = (doc: string, name: string, field: string): Row => ({
  names: [name],
  value: 'BYTES',
  doc,
  into: ['memory', field],
  as: 'bytes',
});
const text = (doc: string, name: string, field: string): Row => ({
  names: [name],
  value: 'LIST',
  doc,
  into: ['cpu', field],
  as: 'text',
});

const rows = {
  blkioWeight: number('weight of block I/O, 10 to 1000', '--blkio-weight', 'blockIO', 'weight'),
  cpuPeriod: number('length of a CPU period, in microseconds', '--cpu-period', 'cpu', 'period'),
  cpuQuota: number('CPU time in each period, in microseconds; -1 for no limit', '--cpu-quota', 'cpu', 'quota'),
  cpuBurst: number('CPU time that may be saved up, in microseconds', '--cpu-burst', 'cpu', 'burst'),
  cpuShare: number('share of CPU time beside others; 1024 is the usual one', '--cpu-share', 'cpu', 'shares'),
  cpuIdle: number('1 for CPU time that nobody else wants, 0 for ordinary', '--cpu-idle', 'cpu', 'idle'),
  cpuRtPeriod: number('realtime period, in microseconds (cgroup v1 only)', '--cpu-rt-period', 'cpu', 'realtimePeriod'),
  cpuRtRuntime: number(
    'realtime in each, in microseconds (cgroup v1 only)',
    '--cpu-rt-runtime',
    'cpu',
    'realtimeRuntime',
  ),
  cpusetCpus: text('processors that may be used: 0-3,7', '--cpuset-cpus', 'cpus'),
  cpusetMems: text('memory nodes that may be used', '--cpuset-mems', 'mems'),
  memory: bytes('memory: a number of bytes, or 512m; -1 for no limit', '--memory', 'limit'),
  memoryReservation: bytes('memory that is left to it when there is little', '--memory-reservation', 'reservation'),
  memorySwap: bytes('memory and swap together; -1 for no limit', '--memory-swap', 'swap'),
  kernelMemory: bytes('accepted, and without effect: the kernel dropped it', '--kernel-memory', 'kernel'),
  kernelMemoryTcp: bytes('accepted, and without effect: cgroup v1 only', '--kernel-memory-tcp', 'kernelTCP'),
  pidsLimit: number('how many processes; -1 for no limit, 0 changes nothing', '--pids-limit', 'pids', 'limit'),
} satisfies Readonly<Record<string, Row>>;

/** The options of `update` that are limits. */
export const resourceFlags: Flags = rows;

/** `linux.resources` of the options that were given; checked. */
export function resourcesFromFlags(parsed: Parsed): Resources {
  const issues: Issue[] = [];
  const groups: Record<string, Record<string, unknown>> = {};
  for (const [key, row] of Object.entries<Row>(rows)) {
    const given = textOf(parsed, key);
    // As with runc, an empty value, and a limit of 0 processes, say nothing.
    if (given === undefined || given === '' || row.into === undefined || (key === 'pidsLimit' && given === '0'))
      continue;
    const [group, field] = row.into;
    const value = read(given, row, issues);
    groups[group] = { ...groups[group], [field]: value };
  }
  if (issues.length > 0) throw specError('invalid options', issues);
  return checkedResources(groups, 'invalid options');
}

/** Resources from outside, held to what holds for those of a configuration. */
export function checkedResources(value: unknown, what: string): Resources {
  const issues = issuesOf(value, resourcesShape);
  if (issues.length > 0) throw specError(what, issues);
  return value as Resources;
}

function read(given: string, { as, names }: Row, issues: Issue[]): string | Int64 | undefined {
  if (as === 'text') return given;
  const value = as === 'bytes' ? bytesOf(given) : wholeOf(given);
  if (value === undefined) {
    const wanted = as === 'bytes' ? 'a number of bytes, such as 1048576 or 512m, or -1' : 'a whole number';
    issues.push({ path: String(names[0]), message: `must be ${wanted}, not ${JSON.stringify(given)}` });
  }
  return value;
}

const wholeOf = (given: string): Int64 | undefined =>
  /^[+-]?[0-9]{1,20}$/.test(given) ? exact(BigInt(given)) : undefined;

const exact = (value: bigint): Int64 => (value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value);

const powers = ['', 'k', 'm', 'g', 't', 'p'];

/** As Docker writes sizes, in powers of 1024: `512m`, `1.5g`, `64MiB`. */
function bytesOf(given: string): Int64 | undefined {
  if (given === '-1') return -1;
  const match = /^([0-9]{1,20})(?:\.([0-9]{1,9}))? ?([kmgtp]?)i?b?$/i.exec(given);
  if (match === null) return undefined;
  const [, whole = '0', part = '', unit = ''] = match;
  const scale = 1024n ** BigInt(powers.indexOf(unit.toLowerCase()));
  const fraction = part === '' ? 0n : (BigInt(part) * scale) / 10n ** BigInt(part.length);
  return exact(BigInt(whole) * scale + fraction);
}
