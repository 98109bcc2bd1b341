import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import { rlimitNumbers } from '../spec/names.ts';
import type { Rlimit } from '../spec/types.ts';

/** Sets the resource limits of the command. */
export function setRlimits(ops: Builder, rlimits: readonly Rlimit[]): void {
  rlimits.forEach((limit, i) => {
    setRlimit(ops, limit, limit.soft, i);
  });
}

/** What an init needs of descriptors that still has to wait, and to run hooks. */
const descriptorsWanted = 256;
const isDescriptors = ({ type }: Rlimit) => type === 'RLIMIT_NOFILE';

/**
 * Sets the resource limits of a command that is started later: what the kernel refuses, it refuses now. Only with
 * descriptors there is a rest, for `setLastRlimits`: an init that may open three of them could not be reached.
 */
export function setFirstRlimits(ops: Builder, rlimits: readonly Rlimit[]): void {
  rlimits.forEach((limit, i) => {
    if (!isDescriptors(limit)) setRlimit(ops, limit, limit.soft, i);
    else if (word(limit.hard) >= descriptorsWanted) setRlimit(ops, limit, limit.hard, i);
  });
}

/** What `setFirstRlimits` has left. */
export function setLastRlimits(ops: Builder, rlimits: readonly Rlimit[]): void {
  rlimits.forEach((limit, i) => {
    const early = word(limit.hard) >= descriptorsWanted && word(limit.soft) === word(limit.hard);
    if (isDescriptors(limit) && !early) setRlimit(ops, limit, limit.soft, i);
  });
}

function setRlimit(ops: Builder, { type, hard }: Rlimit, soft: Rlimit['soft'], i: number): void {
  const resource = rlimitNumbers[type];
  const origin = `/process/rlimits/${i}`;
  if (resource === undefined) {
    const issues = [{ path: `${origin}/type`, message: `there is no resource limit ${type}` }];
    throw new RuntsError('ERR_SPEC', `cannot set resource limits: ${issues[0]!.message}`, { origin, issues });
  }
  ops.op('rlimit', { resource, soft: word(soft), hard: word(hard) }, origin);
}

const unlimited = (1n << 64n) - 1n;

/** As the kernel takes it: -1 and what is close to it (as JSON readers round it) are unlimited. */
function word(value: number | bigint): bigint {
  const exact = BigInt(value);
  return exact < 0n || exact > unlimited ? unlimited : exact;
}

/** Below this, a hard limit is no higher than that of any process that could make a container. */
const raisedFrom: Readonly<Record<string, bigint>> = {
  RLIMIT_NOFILE: 256n,
  RLIMIT_NPROC: 256n,
  RLIMIT_MEMLOCK: 65_536n,
  RLIMIT_MSGQUEUE: 65_536n,
  RLIMIT_SIGPENDING: 256n,
  RLIMIT_NICE: 1n,
  RLIMIT_RTPRIO: 1n,
};

/**
 * Raises hard limits while there is the right to. Only as far as it does not bind the init itself: the limits proper come
 * later. Those that are not listed are unlimited nearly everywhere.
 */
export function raiseRlimits(ops: Builder, rlimits: readonly Rlimit[]): void {
  rlimits.forEach((limit, i) => {
    if (word(limit.hard) >= (raisedFrom[limit.type] ?? unlimited)) setRlimit(ops, limit, limit.hard, i);
  });
}
