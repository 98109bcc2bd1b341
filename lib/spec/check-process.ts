import type { Issue } from '../errors.ts';
import { capabilityBit } from './capabilities.ts';
import { rlimitNames, schedulerPolicies } from './names.ts';
import { pointerOf } from './pointer.ts';
import { type Rule, repeated } from './rules.ts';
import {
  absolutePath,
  anyText,
  boolean,
  environmentEntry,
  id,
  int32,
  integer,
  list,
  numberList,
  object,
  oneOf,
  required,
  text,
  uint64,
} from './shape.ts';
import type { Process, Spec } from './types.ts';

const schedulerFlags = [
  'SCHED_FLAG_RESET_ON_FORK',
  'SCHED_FLAG_RECLAIM',
  'SCHED_FLAG_DL_OVERRUN',
  'SCHED_FLAG_KEEP_POLICY',
  'SCHED_FLAG_KEEP_PARAMS',
  'SCHED_FLAG_UTIL_CLAMP_MIN',
  'SCHED_FLAG_UTIL_CLAMP_MAX',
];

/** A terminal's size is a pair of 16-bit numbers to the kernel. */
const cells = integer(0, 0xffff);

/** One that is not known may be of a newer kernel. */
const isCapability = (name: string) => capabilityBit(name) !== undefined || /^\S+$/.test(name);
const capabilities = list(text({ test: isCapability }, 'must be the name of a capability'));

/** The fields of `process`, one by one. */
export const processShape = object({
  terminal: boolean,
  consoleSize: object({ height: required(cells), width: required(cells) }),
  // What is not said is 0: the specification wants it said, and every runtime in use takes it so.
  user: object({ uid: id, gid: id, umask: integer(0, 0o777), additionalGids: list(id), username: anyText }),
  args: required(list(anyText, 1)),
  env: list(environmentEntry),
  cwd: required(absolutePath),
  capabilities: object({
    bounding: capabilities,
    effective: capabilities,
    permitted: capabilities,
    inheritable: capabilities,
    ambient: capabilities,
  }),
  rlimits: list(
    object({
      type: required(oneOf(rlimitNames, 'resource limit')),
      soft: required(uint64),
      hard: required(uint64),
    }),
  ),
  noNewPrivileges: boolean,
  apparmorProfile: anyText,
  selinuxLabel: anyText,
  oomScoreAdj: integer(-1000, 1000),
  scheduler: object({
    policy: required(oneOf(schedulerPolicies, 'scheduling policy')),
    nice: integer(-20, 19),
    priority: int32,
    flags: list(oneOf(schedulerFlags, 'scheduling flag')),
    runtime: uint64,
    deadline: uint64,
    period: uint64,
  }),
  ioPriority: object({
    class: required(oneOf(['IOPRIO_CLASS_RT', 'IOPRIO_CLASS_BE', 'IOPRIO_CLASS_IDLE'], 'I/O class')),
    priority: integer(0, 7),
  }),
  execCPUAffinity: object({ initial: numberList, final: numberList }),
});

/** A rule on `process`, where there is one. */
function rule(needs: readonly string[], check: (process: Process) => readonly Issue[]): Rule {
  return {
    needs: needs.map((key) => `/process/${key}`),
    check: (spec: Spec) => (spec.process === undefined ? [] : check(spec.process)),
  };
}

/** NGROUPS_MAX. */
const groupsMax = 65536;

/** What must hold between fields of `process`. */
export const processRules: readonly Rule[] = [
  rule(['user'], ({ user: { additionalGids = [] } }) =>
    additionalGids.length <= groupsMax
      ? []
      : [
          {
            path: '/process/user/additionalGids',
            message: `must be at most ${groupsMax} groups, not ${additionalGids.length}`,
          },
        ],
  ),
  rule(['args'], ({ args }) =>
    args[0] === '' ? [{ path: '/process/args/0', message: 'must be the name of a program, not ""' }] : [],
  ),
  rule(['rlimits'], ({ rlimits = [] }) =>
    repeated(rlimits, (limit) => limit.type).map((i) => ({
      path: pointerOf('process', 'rlimits', i, 'type'),
      message: `${rlimits[i]!.type} is in the list twice`,
    })),
  ),
  rule(['rlimits'], ({ rlimits = [] }) =>
    rlimits.flatMap(({ type, soft, hard }, i) =>
      soft <= hard
        ? []
        : [
            {
              path: pointerOf('process', 'rlimits', i, 'soft'),
              message: `${type} is above its hard limit: ${soft} > ${hard}`,
            },
          ],
    ),
  ),
  rule(['capabilities'], ({ capabilities: { effective = [], permitted = [] } = {} }) =>
    effective.flatMap((name, i) =>
      permitted.includes(name)
        ? []
        : [
            {
              path: pointerOf('process', 'capabilities', 'effective', i),
              message: `${name} is not in the permitted set`,
            },
          ],
    ),
  ),
  rule(['scheduler'], ({ scheduler }) => {
    if (scheduler === undefined) return [];
    const { policy, priority = 0 } = scheduler;
    const path = '/process/scheduler/priority';
    if (policy === 'SCHED_FIFO' || policy === 'SCHED_RR') {
      return priority >= 1 && priority <= 99
        ? []
        : [{ path, message: `must be 1 to 99 for ${policy}, not ${priority}` }];
    }
    return priority === 0 ? [] : [{ path, message: `is for SCHED_FIFO and SCHED_RR, not for ${policy}: ${priority}` }];
  }),
  rule(['scheduler'], ({ scheduler }) => {
    if (scheduler === undefined) return [];
    if (scheduler.policy !== 'SCHED_DEADLINE') {
      return (['runtime', 'deadline', 'period'] as const)
        .filter((key) => BigInt(scheduler[key] ?? 0) !== 0n)
        .map((key) => ({
          path: `/process/scheduler/${key}`,
          message: `is for SCHED_DEADLINE, not for ${scheduler.policy}: ${scheduler[key]}`,
        }));
    }
    const { runtime = 0, deadline = 0 } = scheduler;
    // The kernel takes a period of 0 for the deadline.
    const period = scheduler.period === undefined || BigInt(scheduler.period) === 0n ? deadline : scheduler.period;
    if (runtime > 0 && runtime <= deadline && deadline <= period) return [];
    const message = `must have 0 < runtime <= deadline <= period, not ${runtime}, ${deadline}, ${period}`;
    return [{ path: '/process/scheduler', message }];
  }),
];
