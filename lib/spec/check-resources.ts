import type { Issue } from '../errors.ts';
import { pointerOf } from './pointer.ts';
import type { Rule } from './rules.ts';
import {
  anyText,
  boolean,
  int64,
  integer,
  integer64,
  list,
  numberList,
  object,
  oneOf,
  record,
  required,
  someText,
  text,
  uint32,
  uint64,
} from './shape.ts';
import type { Resources } from './types.ts';

/** Device numbers of Linux: 12 and 20 bits. */
export const majorMax = 0xfff;
export const minorMax = 0xf_ffff;

const major = required(integer(0, majorMax));
const minor = required(integer(0, minorMax));
/** Bytes, or -1 for no limit. */
const bytes = integer64(-1n, 0x7fff_ffff_ffff_ffffn);
const weight = integer(0, 1000);
const throttle = list(object({ major, minor, rate: required(uint64) }));

/** The fields of `linux.resources`, one by one. */
export const resourcesShape = object({
  devices: list(
    object({
      allow: required(boolean),
      type: oneOf(['a', 'c', 'b'], 'device type'),
      // -1 stands for all of them, as in the callers' own Go types.
      major: integer(-1, majorMax),
      minor: integer(-1, minorMax),
      access: text(/^[rwm]*$/, 'must be made of "r", "w" and "m"'),
    }),
  ),
  memory: object({
    limit: bytes,
    reservation: bytes,
    swap: bytes,
    kernel: bytes,
    kernelTCP: bytes,
    swappiness: integer(0, 100),
    disableOOMKiller: boolean,
    useHierarchy: boolean,
    checkBeforeUpdate: boolean,
  }),
  cpu: object({
    shares: uint64,
    quota: int64,
    burst: uint64,
    period: uint64,
    realtimeRuntime: int64,
    realtimePeriod: uint64,
    cpus: numberList,
    mems: numberList,
    idle: integer(0, 1),
  }),
  pids: object({ limit: required(integer64(-1n, 0x7fff_ffff_ffff_ffffn)) }),
  blockIO: object({
    weight,
    leafWeight: weight,
    weightDevice: list(object({ major, minor, weight, leafWeight: weight })),
    throttleReadBpsDevice: throttle,
    throttleWriteBpsDevice: throttle,
    throttleReadIOPSDevice: throttle,
    throttleWriteIOPSDevice: throttle,
  }),
  hugepageLimits: list(
    object({
      pageSize: required(text(/^[1-9][0-9]{0,5}[KMG]B$/, 'must be a size such as "2MB"')),
      limit: required(uint64),
    }),
  ),
  network: object({
    classID: uint32,
    priorities: list(object({ name: required(someText), priority: required(uint32) })),
  }),
  rdma: record(object({ hcaHandles: uint32, hcaObjects: uint32 })),
  // A file in the container's cgroup, and none elsewhere.
  unified: record(anyText),
});

/** A rule on `linux.resources`, whose issues stand below it. */
function rule(needs: string, check: (resources: Resources) => readonly Issue[]): Rule {
  return {
    needs: [`/linux/resources/${needs}`],
    check: ({ linux }) =>
      check(linux.resources ?? {}).map(({ path, message }) => ({ path: `/linux/resources${path}`, message })),
  };
}

/** What must hold between fields of `linux.resources`, whichever the version of cgroups. */
export const resourceRules: readonly Rule[] = [
  rule('memory', ({ memory: { limit, swap } = {} }) => {
    if (swap === undefined || swap <= 0) return [];
    if (limit === undefined || limit <= 0)
      return [{ path: '/memory/swap', message: 'a limit of memory and swap needs one of memory' }];
    if (swap >= limit) return [];
    return [
      { path: '/memory/swap', message: `is memory and swap together, at least the memory limit: ${swap} < ${limit}` },
    ];
  }),
  rule('cpu', ({ cpu: { quota, burst } = {} }) =>
    quota !== undefined && burst !== undefined && quota > 0 && burst > quota
      ? [{ path: '/cpu/burst', message: `must be at most the quota: ${burst} > ${quota}` }]
      : [],
  ),
  rule('cpu', ({ cpu: { period } = {} }) =>
    period !== undefined && period !== 0 && (period < 1000 || period > 1_000_000)
      ? [{ path: '/cpu/period', message: `must be 1000 to 1000000 microseconds, not ${period}` }]
      : [],
  ),
  rule('cpu', ({ cpu: { quota } = {} }) =>
    quota !== undefined && quota > 0 && quota < 1000
      ? [{ path: '/cpu/quota', message: `must be at least 1000 microseconds, not ${quota}` }]
      : [],
  ),
  rule('blockIO', ({ blockIO = {} }) =>
    (['weight', 'leafWeight'] as const).flatMap((key) => weightFault(blockIO[key], `/blockIO/${key}`)),
  ),
  rule('blockIO', ({ blockIO: { weightDevice = [] } = {} }) =>
    weightDevice.flatMap((device, i) => {
      const path = pointerOf('blockIO', 'weightDevice', i);
      if (device.weight === undefined && device.leafWeight === undefined) {
        return [{ path, message: 'must have a weight or a leafWeight' }];
      }
      return [...weightFault(device.weight, `${path}/weight`), ...weightFault(device.leafWeight, `${path}/leafWeight`)];
    }),
  ),
  rule('unified', ({ unified = {} }) =>
    Object.keys(unified).flatMap((key) =>
      /^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)+$/.test(key)
        ? []
        : [
            {
              path: pointerOf('unified', key),
              message: `the specified key has not the form CONTROLLER.VALUE \`${key}\`: it must be a file of a cgroup`,
            },
          ],
    ),
  ),
  rule('rdma', ({ rdma = {} }) =>
    Object.keys(rdma).flatMap((name) =>
      rdma[name]!.hcaHandles === undefined && rdma[name]!.hcaObjects === undefined
        ? [{ path: pointerOf('rdma', name), message: 'must have hcaHandles or hcaObjects' }]
        : [],
    ),
  ),
];

/** 0 says: not set. */
function weightFault(weight: number | undefined, path: string): Issue[] {
  if (weight === undefined || weight === 0 || weight >= 10) return [];
  return [{ path, message: `must be 10 to 1000, not ${weight}` }];
}
