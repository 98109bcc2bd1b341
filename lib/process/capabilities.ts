import { capabilityMask } from '../spec/names.ts';
import type { Capabilities } from '../spec/types.ts';

/** The capability sets of the command as bits, exactly as asked: what is not listed is not there. */
export interface CapabilitySets {
  readonly bounding: bigint;
  readonly effective: bigint;
  readonly permitted: bigint;
  readonly inheritable: bigint;
  readonly ambient: bigint;
}

/** Without a list, a set is empty: inheritable and ambient ones above all (CVE-2022-24769). */
export function capabilitySets(asked: Capabilities = {}): CapabilitySets {
  return {
    bounding: capabilityMask(asked.bounding ?? []),
    effective: capabilityMask(asked.effective ?? []),
    permitted: capabilityMask(asked.permitted ?? []),
    inheritable: capabilityMask(asked.inheritable ?? []),
    ambient: capabilityMask(asked.ambient ?? []),
  };
}

/** The one capability that process 1 keeps: to pass signals on to a command of another user. */
export const reaperCapabilities = capabilityMask(['CAP_KILL']);
