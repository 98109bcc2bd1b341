import { RuntsError } from '../errors.ts';
import type { Builder } from '../program/builder.ts';
import { rlimitNumbers } from '../spec/names.ts';
import type { Rlimit } from '../spec/types.ts';

/** Sets the resource limits of the command. */
export function setRlimits(ops: Builder, rlimits: readonly Rlimit[]): void {
  rlimits.forEach(({ type, soft, hard }, i) => {
    const resource = rlimitNumbers[type];
    const origin = `/process/rlimits/${i}`;
    if (resource === undefined) {
      const issues = [{ path: `${origin}/type`, message: `there is no resource limit ${type}` }];
      throw new RuntsError('ERR_SPEC', `cannot set resource limits: ${issues[0]!.message}`, { origin, issues });
    }
    ops.op('rlimit', { resource, soft: word(soft), hard: word(hard) }, origin);
  });
}

/** As the kernel takes it: -1 and what is close to it (as JSON readers round it) are unlimited. */
function word(value: number | bigint): bigint {
  const unlimited = (1n << 64n) - 1n;
  const exact = BigInt(value);
  return exact < 0n || exact > unlimited ? unlimited : exact;
}
